/** The workload API and its neighbours on the wire (ambient-wire 3, 4, 6.4). */
export * from './codec.ts';
export * from './messages.ts';
export * from './services.ts';
export * from './struct.ts';
export * from './type-urls.ts';
