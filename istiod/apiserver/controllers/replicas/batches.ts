/** Making many objects, of which the first failure is likely to be everybody's. */

/** Calls `make` so many times: once, then two at a time, four and so on; the first batch with a failure is the last. Rejects with it. */
export async function slowStart(count: number, make: (index: number) => Promise<void>): Promise<void> {
  for (let done = 0, size = 1; done < count; size *= 2) {
    const batch = Math.min(size, count - done);
    const results = await Promise.allSettled(Array.from({ length: batch }, (_, i) => make(done + i)));
    const failed = results.find((r) => r.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
    done += batch;
  }
}
