/** The informer of @kubernetes/client-node, as controllers in Node use it. */
import { join } from 'node:path';
import { describe } from 'node:test';
import { clientNodeFolder, clientNodePath, skipWithoutClientNode } from '../harness/client-node.ts';
import { testInformer } from '../harness/informers.ts';

describe('@kubernetes/client-node', { skip: skipWithoutClientNode() }, () => {
  const path = '/api/v1/namespaces/default/configmaps';
  const script = join(clientNodeFolder, 'informer.mjs');
  const command = [process.execPath, script, clientNodePath(), 'default', path];
  testInformer({ title: 'an informer', command, path, apiVersion: 'v1', kind: 'ConfigMap' });
});
