/** Where access logs go: lines of one turn leave together. */
import { appendFile } from 'node:fs';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { Gathered } from '../export/gathered.ts';

/** Ms that a line may wait for others. */
const flushDelay = 20;
/** Bytes that may wait for a slow disk; what comes beyond is dropped, and counted in the log. */
const mostWaiting = 16 * 1_048_576;

interface File {
  readonly waiting: Gathered;
  writing: boolean;
  scheduled: boolean;
  dropped: number;
}

export function logWriter(log: Logger): (path: string, line: string) => void {
  const files = new Map<string, File>();

  function flush(path: string, file: File): void {
    file.scheduled = false;
    if (file.writing || file.waiting.length === 0) return;
    const text = file.waiting.take();
    if (path === '/dev/stdout') process.stdout.write(text);
    else if (path === '/dev/stderr') process.stderr.write(text);
    else if (path !== '/dev/null') {
      file.writing = true;
      appendFile(path, text, (error) => {
        file.writing = false;
        if (error) log.warn('lines of an access log are lost', { path, error: describeError(error) });
        if (file.dropped > 0) log.warn('an access log is too slow', { path, dropped: file.dropped });
        file.dropped = 0;
        flush(path, file);
      });
    }
  }

  return (path, line) => {
    let file = files.get(path);
    if (!file) {
      const made: File = { waiting: new Gathered(), writing: false, scheduled: false, dropped: 0 };
      file = made;
      files.set(path, made);
      process.once('exit', () => {
        if (path === '/dev/stdout') process.stdout.write(made.waiting.take());
      });
    }
    if (file.waiting.length > mostWaiting) {
      file.dropped++;
      return;
    }
    file.waiting.addText(line);
    if (file.scheduled) return;
    file.scheduled = true;
    const made = file;
    setTimeout(() => flush(path, made), flushDelay).unref();
  };
}
