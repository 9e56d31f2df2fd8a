/** Writes without end, at the pace at which it is taken. */
import type { Socket } from 'node:net';

const together = 100;
/** Ms for which a peer that takes nothing more is waited for. */
const patience = 10_000;
/** The same where it does not read either, so that it may be the one that waits. */
const deafPatience = 300;

/**
 * `parts` parts, or as many as are taken. Then what comes is read, and resolves with whether the other end has closed the connection,
 * which is waited for unless it may stand.
 */
export async function pour(
  socket: Socket,
  parts: number,
  part: (n: number) => Uint8Array,
  mayStand: boolean,
): Promise<boolean> {
  let gone = socket.destroyed;
  let wake = () => {};
  const over = () => {
    gone = true;
    wake();
  };
  const drained = () => wake();
  socket.on('close', over);
  socket.on('end', over);
  socket.on('drain', drained);
  const woken = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  for (let n = 0; n < parts && !gone; ) {
    const some: Uint8Array[] = [];
    for (; some.length < together && n < parts; n++) some.push(part(n));
    if (socket.write(Buffer.concat(some))) await new Promise(setImmediate);
    else {
      await woken(socket.isPaused() ? deafPatience : patience);
      if (socket.writableNeedDrain) break;
    }
  }
  // A socket that is not read does not tell that it was closed.
  socket.resume();
  if (!gone && !mayStand) await woken(patience);
  socket.off('close', over);
  socket.off('end', over);
  socket.off('drain', drained);
  return gone;
}
