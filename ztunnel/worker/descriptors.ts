/**
 * Keeps a worker below its limit of open files: near it new connections are refused, open ones go on.
 *
 * The kernel gives out the lowest free number, so a new descriptor with number n means that n others are open: the number
 * itself is the measure, without counting anything.
 */
export class DescriptorBudget {
  /** First number that a new connection may not have. */
  readonly ceiling: number;
  /** Inside the limit, but only for connections that were admitted: their upstream sockets, pools, DNS, control. */
  readonly reserve: number;

  /** `limit` is the process's number of open files. A tenth is held back, 16 to 1,024. */
  constructor(limit: number) {
    this.reserve = Math.min(1024, Math.max(16, Math.floor(limit / 10)));
    this.ceiling = limit - this.reserve;
  }

  /** Whether a connection that was accepted with this descriptor may stay. */
  admits(fd: number): boolean {
    return fd < this.ceiling;
  }

  /** Whether an admitted connection may use this descriptor towards its upstream: half of the reserve is for that. */
  admitsUpstream(fd: number): boolean {
    return fd < this.ceiling + this.reserve / 2;
  }
}
