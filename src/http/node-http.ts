/**
 * Node's `http`. An `import` of the module reads all its names, and one of them loads the client of
 * WebSockets: memory and time at the start of every process that nothing needs.
 */
export const http = process.getBuiltinModule('node:http');
