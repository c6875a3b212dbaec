"""The SFTP folder: CSV and XLSX files that a department's system puts on an SFTP server."""
