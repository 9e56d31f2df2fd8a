/**
 * A kubelet over HTTPS, at the address and port that its Node tells. Both ends know each other: the node's certificate is the one
 * that its Node names, and ours is of the API server's CA.
 */
import type { IncomingMessage } from 'node:http';
import { isIPv6 } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect, type TLSSocket } from 'node:tls';
import { describeError } from '../../../common/core/errors.ts';
import { openChannels } from '../../../common/kube/kubelet/channels.ts';
import {
  certificateAnnotation,
  channelsProtocol,
  type KubeletRequest,
  requestPath,
} from '../../../common/kube/kubelet/requests.ts';
import { at, listAt, textAt } from '../kinds/columns.ts';
import type { ApiObject } from '../objects.ts';
import { ApiError } from '../status.ts';
import type { Kubelet, KubeletStreams } from './kubelet.ts';

export interface ClientCredentials {
  /** PEM. */
  readonly key: string;
  readonly certificate: string;
}

/** Ms for a connection and for the head of an answer. */
const connectTime = 10_000;
const answerTime = 30_000;
/** Bytes of a refusal that are looked at. */
const longestRefusal = 64 * 1024;

export function httpKubelet(node: ApiObject, credentials: ClientCredentials): Kubelet {
  const place = placeOf(node);
  const ask = (request: KubeletRequest, upgrade: string | undefined, signal: AbortSignal) =>
    send({ place, credentials, request, upgrade, signal });
  const streams = async (request: KubeletRequest, signal: AbortSignal): Promise<KubeletStreams> => {
    const { socket } = await ask(request, channelsProtocol, signal);
    signal.addEventListener('abort', () => socket.destroy(), { once: true });
    return { channels: openChannels(socket), close: () => socket.destroy() };
  };
  return {
    async logs(request, signal) {
      const answer = await ask(request, undefined, signal);
      return answer.response;
    },
    run: (request, signal) => streams(request, signal),
    dial: (request, signal) => streams(request, signal),
  };
}

interface Place {
  readonly node: string;
  readonly host: string;
  readonly port: number;
  readonly fingerprint: string;
}

function placeOf(node: ApiObject): Place {
  const name = node.metadata.name ?? '';
  const addresses = listAt(node, 'status', 'addresses');
  const host = ['InternalIP', 'Hostname']
    .map((type) => addresses.find((a) => textAt(a, 'type') === type))
    .map((a) => textAt(a, 'address'))
    .find((a) => a !== '');
  const port = at(node, 'status', 'daemonEndpoints', 'kubeletEndpoint', 'Port');
  const fingerprint = node.metadata.annotations?.[certificateAnnotation];
  if (host === undefined || typeof port !== 'number')
    throw unreachable(name, 'its status names no address and port of a kubelet');
  if (fingerprint === undefined) throw unreachable(name, `it has no annotation ${certificateAnnotation}`);
  return { node: name, host, port, fingerprint };
}

interface Sending {
  readonly place: Place;
  readonly credentials: ClientCredentials;
  readonly request: KubeletRequest;
  /** undefined: an answer with a body is wanted. */
  readonly upgrade: string | undefined;
  readonly signal: AbortSignal;
}

interface Answered {
  readonly response: IncomingMessage;
  readonly socket: Duplex;
}

async function send({ place, credentials, request, upgrade, signal }: Sending): Promise<Answered> {
  // It is 60 ms of a start, and most servers have no kubelet.
  const { request: httpRequest } = await import('node:http');
  const connection = await open(place, credentials, signal);
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  const sent = httpRequest({
    createConnection: () => connection,
    method: upgrade === undefined ? 'GET' : 'POST',
    path: requestPath(request),
    headers: {
      host: isIPv6(place.host) ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`,
      ...(upgrade === undefined ? { connection: 'close' } : { connection: 'Upgrade', upgrade }),
    },
    signal,
  });
  const late = setTimeout(() => sent.destroy(new Error(`no answer within ${answerTime} ms`)), answerTime);
  sent.on('error', (e) => reject(unreachable(place.node, describeError(e))));
  sent.on('upgrade', (response, socket, head) => {
    if (head.length > 0) socket.unshift(head);
    socket.on('error', () => undefined);
    resolve({ response, socket });
  });
  sent.on('response', (response) => {
    const wanted = upgrade === undefined && response.statusCode === 200;
    if (wanted) resolve({ response, socket: connection });
    else refusalOf(response, place.node).then(reject, reject);
  });
  sent.end();
  try {
    return await promise;
  } catch (e) {
    connection.destroy();
    throw e;
  } finally {
    clearTimeout(late);
  }
}

/** Nothing is said before the node has shown the certificate that its object names. */
function open(place: Place, { key, certificate }: ClientCredentials, signal: AbortSignal): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    // The certificate is compared as a whole, below: no CA has signed it.
    const socket = connect({
      host: place.host,
      port: place.port,
      key,
      cert: certificate,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['http/1.1'],
    });
    const fail = (e: Error) => {
      socket.destroy();
      reject(unreachable(place.node, e.message));
    };
    const onAbort = () => fail(new Error('the request is over'));
    const late = setTimeout(() => fail(new Error(`no connection within ${connectTime} ms`)), connectTime);
    signal.addEventListener('abort', onAbort, { once: true });
    socket.on('error', fail);
    socket.on('close', () => clearTimeout(late));
    socket.on('secureConnect', () => {
      clearTimeout(late);
      signal.removeEventListener('abort', onAbort);
      const shown = socket.getPeerX509Certificate()?.fingerprint256.replaceAll(':', '').toLowerCase();
      if (shown === place.fingerprint.toLowerCase()) resolve(socket);
      else fail(new Error(`it shows another certificate than its annotation ${certificateAnnotation} names`));
    });
  });
}

/** A kubelet refuses with a Status. */
async function refusalOf(response: IncomingMessage, node: string): Promise<ApiError> {
  let text = '';
  for await (const chunk of response) {
    text += String(chunk);
    if (text.length > longestRefusal) break;
  }
  const code = response.statusCode ?? 500;
  const status = parseStatus(text);
  if (status === undefined) return unreachable(node, `it answers ${code}: ${text.slice(0, 200)}`);
  return new ApiError(code, status.reason, status.message);
}

function parseStatus(text: string): { readonly reason: string; readonly message: string } | undefined {
  try {
    const status: unknown = JSON.parse(text);
    const [reason, message] = [textAt(status, 'reason'), textAt(status, 'message')];
    return message === '' ? undefined : { reason, message };
  } catch {
    return undefined;
  }
}

function unreachable(node: string, why: string): ApiError {
  return new ApiError(500, 'InternalError', `error dialing the kubelet of node ${JSON.stringify(node)}: ${why}`);
}
