/** Runs a bounded number of tasks at a time; urgent ones pass those that only warm up (ambient-wire 4). */

export interface QueuedTask {
  /** Makes it urgent; nothing when it already runs. */
  promote(): void;
  /** Takes it out; nothing when it already runs. */
  cancel(): void;
}

export interface FetchQueue {
  /** `task` must not reject. */
  add(task: () => Promise<void>, urgent: boolean): QueuedTask;
}

export function createFetchQueue(limit: number): FetchQueue {
  type Task = () => Promise<void>;
  const urgent = new Set<Task>();
  const warmUp = new Set<Task>();
  let running = 0;

  function next(): void {
    while (running < limit) {
      const from = urgent.size > 0 ? urgent : warmUp;
      const [task] = from;
      if (!task) return;
      from.delete(task);
      running++;
      void task().finally(() => {
        running--;
        next();
      });
    }
  }

  return {
    add(run, isUrgent) {
      // The same function may be queued again before its first run is over: each entry is its own.
      const task = () => run();
      (isUrgent ? urgent : warmUp).add(task);
      next();
      return {
        promote: () => void (warmUp.delete(task) && urgent.add(task)),
        cancel: () => void (urgent.delete(task) || warmUp.delete(task)),
      };
    },
  };
}
