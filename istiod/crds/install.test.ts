import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemClock } from '../../common/core/clock.ts';
import { silentLogger } from '../../common/core/log.ts';
import { createKubeClient } from '../../common/kube/client/client.ts';
import { loadKubeconfig } from '../../common/kube/client/kubeconfig.ts';
import { customResourceDefinitionKind } from '../../common/kube/kinds/extension.ts';
import { startTestServer } from '../apiserver/testing/client.ts';
import { installDefinitions } from './install.ts';

test('definitions that are there are not sent again; one that lost something is', async () => {
  await using server = await startTestServer();
  const source = createKubeClient({ access: loadKubeconfig(server.server.kubeconfig) });
  try {
    const sent: string[] = [];
    const client: Parameters<typeof installDefinitions>[0] = {
      list: source.list.bind(source),
      document: source.document.bind(source),
      apply: (...args) => {
        sent.push(args[0].metadata.name);
        return source.apply(...args);
      },
    };
    const install = () => installDefinitions(client, systemClock, silentLogger);
    await install();
    const all = sent.splice(0);
    await install();
    assert.deepEqual(sent, []);
    const name = 'virtualservices.networking.istio.io';
    assert.ok(all.includes(name));
    const found = await source.get(customResourceDefinitionKind, { name });
    const versions = found!.spec.versions.filter((v) => v.storage);
    await source.patch(customResourceDefinitionKind, { name }, { spec: { versions } }, {});
    await install();
    assert.deepEqual(sent, [name]);
  } finally {
    source.close();
  }
});
