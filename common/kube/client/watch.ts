/** The events in the body of a watch: one JSON object a line. */
import type { IncomingMessage } from 'node:http';
import { MeshError } from '../../core/errors.ts';
import { isObject } from '../schema/validate.ts';
import type { KubeObject, WatchEvent } from '../types.ts';
import { type ApiCall, refusal, titled, unavailable } from './transport.ts';

/** Characters; an API server takes objects of 1.5 MB. */
const longestLine = 32 * 1024 * 1024;

/** Ends when the server ends the watch in order. Throws API_UNAVAILABLE when it breaks, also in the middle of an event; GONE. */
export async function* readEvents<T extends KubeObject>(
  call: ApiCall,
  response: IncomingMessage,
): AsyncIterable<WatchEvent<T>> {
  response.setEncoding('utf8');
  let pieces: string[] = [];
  let length = 0;
  try {
    for await (const chunk of response as AsyncIterable<string>) {
      let start = 0;
      for (let end = chunk.indexOf('\n'); end >= 0; end = chunk.indexOf('\n', start)) {
        const line = `${pieces.join('')}${chunk.slice(start, end)}`;
        [pieces, length, start] = [[], 0, end + 1];
        yield eventOf<T>(call, line);
      }
      if (start === chunk.length) continue;
      pieces.push(chunk.slice(start));
      length += chunk.length - start;
      if (length > longestLine) throw broken(call, `an event is longer than ${longestLine} characters`);
    }
  } catch (e) {
    throw e instanceof MeshError ? e : unavailable(call, e);
  }
  if (length > 0) throw broken(call, 'the watch ended in the middle of an event');
}

function eventOf<T extends KubeObject>(call: ApiCall, line: string): WatchEvent<T> {
  const event = parsed(line);
  if (!isObject(event) || !isObject(event['object'])) throw broken(call, 'an event is not understood');
  const { type, object } = event as { type: unknown; object: Record<string, unknown> };
  if (type === 'ERROR') {
    const code = typeof object['code'] === 'number' ? object['code'] : 500;
    throw refusal(call, code, JSON.stringify(object));
  }
  const metadata = object['metadata'];
  const version = isObject(metadata) ? metadata['resourceVersion'] : undefined;
  if (typeof version !== 'string' || version === '') throw broken(call, 'an event has no resourceVersion');
  if (type === 'BOOKMARK') return { type, resourceVersion: version };
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED') return { type, object: object as unknown as T };
  throw broken(call, `an event is of type ${JSON.stringify(type)}`);
}

function parsed(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function broken(call: ApiCall, text: string): MeshError {
  return new MeshError('API_UNAVAILABLE', titled(call, text));
}
