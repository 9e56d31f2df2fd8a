/**
 * node:http, without its form as an ES module: to make that, Node (26) reads every export, and the one named WebSocket loads all of
 * undici, 60 to 110 ms of CPU at each start of each program.
 */
export const { Agent, createServer, request, STATUS_CODES } = process.getBuiltinModule('node:http');
