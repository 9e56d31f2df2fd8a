import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { systemClock } from '../../../common/core/clock.ts';
import { loopback, loopbackPort } from '../../../common/testing/hbone-rig.ts';
import { socketName, socketsHere } from '../../../native/index.ts';
import { type EngineSockets, hboneCompliance } from '../../../test/compliance/hbone.ts';
import { hboneInnerCompliance } from '../../../test/compliance/hbone-inner.ts';
import { relayCompliance } from '../../../test/compliance/relay.ts';
import type { Engine } from '../engine.ts';
import { createNativeEngine } from './engine.ts';

const never = new AbortController().signal;

if (existsSync(join(import.meta.dirname, '../../../native/build/aquifer.node'))) all(createNativeEngine());
else it('native engine', { skip: 'the addon is not built: make -C native' });

function all(native: Engine): void {
  const dialer = native.dialer(systemClock);
  const sockets: EngineSockets = {
    dial: (address, signal = never) =>
      dialer(socketsHere({ family: 4, type: 'stream' }, 1)[0]!, address, signal, 10_000),
    async listen(onSocket) {
      const bind = { ip: loopback, port: loopbackPort(0).port };
      const [fd] = socketsHere({ family: 4, type: 'stream', bind, backlog: 4096, noDelay: true }, 1);
      const address = socketName(fd!);
      const listener = native.accept(
        fd!,
        ({ socket, remote }) => onSocket(socket, remote),
        (error) => {
          throw error;
        },
      );
      return { address, close: () => listener.close() };
    },
  };

  const engine = { ...native, name: 'native', sockets };
  relayCompliance({ ...engine, dial: sockets.dial });
  hboneCompliance(engine);
  hboneInnerCompliance(engine);
}
