/**
 * Nominal types for values that look alike. A branded value is made only by a parser that can fail,
 * so holding one is the proof that it was checked.
 */
declare const brand: unique symbol;
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };

/** Milliseconds; a duration or a point on a monotonic clock, never wall time in seconds. */
export type Millis = Brand<number, 'Millis'>;
/** A file descriptor that the holder must close. */
export type Fd = Brand<number, 'Fd'>;
/** Kernel cookie of a network namespace (SO_NETNS_COOKIE, Linux 5.14); never reused while the machine is up. */
export type NetnsCookie = Brand<bigint, 'NetnsCookie'>;

export const millis = (n: number): Millis => n as Millis;
export const fd = (n: number): Fd => n as Fd;
