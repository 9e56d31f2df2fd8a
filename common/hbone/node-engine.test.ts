import { hboneCompliance } from '../../test/compliance/hbone.ts';
import { hboneInnerCompliance } from '../../test/compliance/hbone-inner.ts';
import { createHbonePool } from './pool.ts';
import { createHboneServer } from './server.ts';

const engine = { name: 'node', createServer: createHboneServer, createPool: createHbonePool };
hboneCompliance(engine);
hboneInnerCompliance(engine);
