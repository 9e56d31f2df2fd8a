/** The console's server. What answers is loaded at the first request: most istiods are never looked at. */
import type { RequestListener, Server } from 'node:http';
import { describeError } from '../../common/core/errors.ts';
import type { Logger } from '../../common/core/log.ts';
import { createServer } from '../../common/core/node-http.ts';

export function createConsole(load: () => Promise<RequestListener>, log: Logger): Server {
  let answers: Promise<RequestListener> | undefined;
  return createServer((request, response) => {
    answers ??= load();
    answers.then(
      (answer) => answer(request, response),
      (e: unknown) => {
        log.error('the console cannot be loaded', { error: describeError(e) });
        response.destroy();
      },
    );
  });
}
