// Parses the document named by the first argument and prints what the official parser found wrong with it.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';
import { AvroSchemaParser } from '@asyncapi/avro-schema-parser';

const parser = new Parser();
parser.registerSchemaParser(AvroSchemaParser());
const { document, diagnostics } = await parser.parse(readFileSync(process.argv[2], 'utf8'));
const found = diagnostics.map(({ severity, code, message, path }) => ({ severity, code, message, path: path.join('/') }));
const channels = document ? document.channels().all().map((channel) => channel.address() ?? channel.id()) : [];
const operations = document ? document.operations().all().length : 0;
console.log(JSON.stringify({ found, channels, operations }));
