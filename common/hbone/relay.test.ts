import { relayCompliance } from '../../test/compliance/relay.ts';
import { dialTcp } from '../testing/hbone-rig.ts';
import { relay } from './relay.ts';

relayCompliance({
  name: 'node',
  relay,
  counters: () => ({ received: 0, sent: 0 }),
  dial: (address) => dialTcp(address),
});
