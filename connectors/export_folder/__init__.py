"""The export folder: CSV and XLSX files that a department's old system writes into a folder."""
