import { hboneCompliance } from '../../test/compliance/hbone.ts';
import { createHbonePool } from './pool.ts';
import { createHboneServer } from './server.ts';

hboneCompliance({ name: 'node', createServer: createHboneServer, createPool: createHbonePool });
