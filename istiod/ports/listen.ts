import type { AddressInfo, Server } from 'node:net';
import type { ListenAddress } from '../../common/config/listen-address.ts';
import { describeError, MeshError } from '../../common/core/errors.ts';

/** Resolves with the port as bound. MeshError CONFIG, which names the flag. */
export function listenAt(server: Server, at: ListenAddress, flag: string): Promise<number> {
  return new Promise((resolve, reject) => {
    const where = `${at.ip ?? '[::]'}:${at.port}`;
    server.once('error', (e) =>
      reject(new MeshError('CONFIG', `cannot listen on ${where} (${flag}): ${describeError(e)}`)),
    );
    const address = at.ip === undefined ? {} : { host: at.ip };
    server.listen({ port: at.port, ...address }, () => resolve((server.address() as AddressInfo).port));
  });
}
