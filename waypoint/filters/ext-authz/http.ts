/** The protocol over HTTP: the request's head asked again of the service, whose status is the verdict. */
import { Headers } from '../../request/headers.ts';
import type { HttpAnswer, HttpCall } from '../caller.ts';
import type { HttpService } from './config.ts';
import type { HeaderEdit, Outcome } from './outcome.ts';
import type { Check } from './request.ts';

/** Bytes of a denial's body. */
const mostAnswer = 1_048_576;
/** In the service's answer, and for nobody else: what goes from the request. */
const removalHeader = 'x-envoy-auth-headers-to-remove';

export function httpCall(service: HttpService, { view, headers, body }: Check): HttpCall {
  const { cluster, timeout, pathPrefix, add } = service;
  const sent = new Headers();
  for (const [name, value] of headers) if (!isFraming(name)) sent.append(name, value);
  for (const [name, value] of add) sent.set(name, value);
  const bytes = body?.bytes ?? Buffer.alloc(0);
  sent.set('content-length', String(bytes.length));
  return {
    cluster,
    method: view.method,
    path: pathPrefix + view.path,
    authority: view.authority,
    headers: sent,
    areForwarded: true,
    body: bytes,
    timeout,
    most: mostAnswer,
  };
}

/** Told by other means, or of the client's message alone. */
function isFraming(name: string): boolean {
  return name.startsWith(':') || name === 'content-length' || name === 'transfer-encoding';
}

export function httpOutcome(service: HttpService, answer: HttpAnswer): Outcome {
  if (answer.kind === 'failed') return { kind: 'error', why: answer.detail };
  const { status, headers, body } = answer;
  if (status >= 500) return { kind: 'error', why: `the service answered with ${status}` };
  const remove = headers.getAll(removalHeader).flatMap((value) => value.split(','));
  headers.remove(removalHeader);
  const metadata = metadataOf(service, headers);
  const edits = (action: HeaderEdit['action'], takes: (name: string) => boolean): HeaderEdit[] =>
    [...headers].flatMap(([name, value]) => (takes(name) ? [{ name, value, action }] : []));
  if (status === 200) {
    return {
      kind: 'ok',
      request: [...edits('set', service.toUpstream), ...edits('add', service.toUpstreamAppended)],
      remove: remove.map((name) => name.trim().toLowerCase()).filter((name) => name !== ''),
      query: { set: [], remove: [] },
      response: edits('add', service.toClientOnSuccess),
      metadata,
    };
  }
  const told = edits('set', (name) => !isFraming(name) && service.toClient(name));
  return { kind: 'denied', status, headers: told, body: body.toString('utf8'), metadata };
}

function metadataOf({ toMetadata }: HttpService, headers: Headers): Readonly<Record<string, string>> | undefined {
  const found = [...headers].filter(([name]) => toMetadata(name));
  return found.length === 0 ? undefined : Object.fromEntries(found);
}
