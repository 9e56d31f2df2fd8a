/**
 * Serves a few made-up clients before real ones come: code that never ran makes the first of them wait four times as long as the
 * second, and fifty that come back together twice as long.
 */
import { once } from 'node:events';
import { type ClientHttp2Session, connect } from 'node:http2';
import { ServerCredentials, status } from '@grpc/grpc-js';
import { Registry } from 'prom-client';
import {
  addressTypeUrl,
  authorizationTypeUrl,
  deltaAdsService,
  deltaRequestMessage,
  deltaResponseMessage,
} from '../../common/api/index.ts';
import { parseListenAddress } from '../../common/config/listen-address.ts';
import { millis } from '../../common/core/brand.ts';
import type { Clock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createXdsMetrics } from '../metrics.ts';
import { ResourceCatalog } from '../model/catalog.ts';
import { openGrpcPort } from '../ports/grpc-port.ts';
import { XdsServer, xdsService } from './xds-server.ts';

/** Clients that are served at once, once a turn. */
const atOnce = 6;
/** Turns before the first client may come, 0.1 s of CPU: it is served in a quarter of the time then. */
export const turnsBeforeReady = 8;
/** Turns after which fifty that come together wait half as long, as V8 has compiled what serves them. 0.15 s of CPU more. */
export const turnsInAll = 24;
/** Of this process, whose code it is. */
let taken = 0;
const resources = 100;
const ackTimeout = millis(60_000);

/**
 * Serves from a port of the loopback, which is closed then, until this process has had so many turns or `enough` says that it is to
 * stop; returns how many this took. Rejects where there is no such port.
 */
export async function warmUp(clock: Clock, turns: number, enough: () => boolean = () => false): Promise<number> {
  const before = taken;
  if (before >= turns) return 0;
  const stop = new AbortController();
  const xds = new XdsServer({
    catalog: madeUp(),
    envoy: undefined,
    clock,
    log: silentLogger,
    metrics: createXdsMetrics(new Registry()),
    controlPlane: '{}',
    ackTimeout,
    debug: () => ({ kind: 'refused', code: status.NOT_FOUND, reason: '' }),
    onProgress: () => undefined,
    onNack: () => undefined,
    signal: stop.signal,
  });
  const port = await openGrpcPort({
    at: parseListenAddress('127.0.0.1:0')!,
    credentials: ServerCredentials.createInsecure(),
    flag: 'warming up',
    clock,
    log: silentLogger,
    maxAge: undefined,
    services: (server, peers) => server.addService(xdsService, xds.handlers({ ...peers, authenticate: undefined })),
  });
  try {
    while (taken < turns && !enough()) {
      taken++;
      await Promise.all(Array.from({ length: atOnce }, () => follow(port.port)));
    }
  } finally {
    stop.abort();
    port.close();
  }
  return taken - before;
}

/** A client that has everything once. */
async function follow(port: number): Promise<void> {
  const session: ClientHttp2Session = connect(`http://127.0.0.1:${port}`);
  const headers = { ':method': 'POST', ':path': deltaAdsService.DeltaAggregatedResources.path, te: 'trailers' };
  const stream = session.request({ ...headers, 'content-type': 'application/grpc' });
  const failed = once(stream, 'error').then(([e]) => Promise.reject(e as Error));
  const send = (request: Parameters<typeof deltaRequestMessage.encode>[0]) => {
    const body = deltaRequestMessage.encode(request);
    const head = Buffer.alloc(5);
    head.writeUInt32BE(body.length, 1);
    stream.write(Buffer.concat([head, body]));
  };
  try {
    await Promise.race([failed, answered()]);
  } finally {
    failed.catch(() => undefined);
    session.destroy();
  }

  async function answered(): Promise<void> {
    const node = { id: 'ztunnel~127.0.0.1~warm-up.~' };
    const waiting = new Set([addressTypeUrl, authorizationTypeUrl]);
    for (const typeUrl of waiting) send({ node, typeUrl });
    let bytes = Buffer.alloc(0);
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 5 && bytes.length >= bytes.readUInt32BE(1) + 5) {
        const end = bytes.readUInt32BE(1) + 5;
        const { typeUrl, nonce } = deltaResponseMessage.decode(bytes.subarray(5, end));
        bytes = bytes.subarray(end);
        send({ typeUrl, responseNonce: nonce });
        waiting.delete(typeUrl as typeof addressTypeUrl);
        if (waiting.size === 0) return;
      }
    }
  }
}

function madeUp(): ResourceCatalog {
  const catalog = new ResourceCatalog();
  for (let i = 0; i < resources; i++) {
    const [name, bytes] = [`workload-${i}`, Buffer.alloc(250)];
    catalog.set({
      type: addressTypeUrl,
      name,
      version: '',
      bytes,
      aliases: [`/${i}`],
      node: '',
      services: [],
      inputs: [],
    });
  }
  return catalog;
}
