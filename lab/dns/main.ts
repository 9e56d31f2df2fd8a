/** The cluster's DNS, in the control-plane host's namespace. The lab's daemon sends it the zone whenever that changes. */
import { describeError } from '../../common/core/errors.ts';
import { startDnsServer } from './server.ts';
import type { Zone } from './zone.ts';

let zone: Zone = {};
process.on('message', (message) => {
  zone = message as Zone;
});
// Without its daemon the lab is at its end: names stay as they are until somebody cleans up.
process.on('disconnect', () => undefined);
try {
  await startDnsServer({ port: 53, zone: () => zone });
  process.send?.('listening');
} catch (e) {
  process.stderr.write(`cluster DNS: ${describeError(e)}\n`);
  process.exit(1);
}
