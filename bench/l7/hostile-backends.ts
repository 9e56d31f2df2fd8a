/** A process of `bench -- l7 --hostile`: the backends, whose loop is nobody else's. Ends with its parent. */

import { startBackends } from '../../test/waypoint/hostile/backends.ts';
import type { Backends } from '../../test/waypoint/hostile/bootstrap.ts';

const { http1, http2, neighbours } = await startBackends();
process.once('disconnect', () => process.exit());
process.send!({ http1, http2, neighbours } satisfies Backends);
