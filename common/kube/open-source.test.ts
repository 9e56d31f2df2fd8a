import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SettingsReader } from '../config/reader.ts';
import { readSourcePlace } from './open-source.ts';

test('the flag, else KUBECONFIG, else the pod', () => {
  const pod = { KUBERNETES_SERVICE_HOST: '10.96.0.1', KUBERNETES_SERVICE_PORT: '443' };
  const kubeconfig = { ...pod, KUBECONFIG: '/a:/b' };
  const place = (settings: Record<string, string>) => readSourcePlace(new SettingsReader(settings));
  assert.deepEqual(place({ ...kubeconfig, '--kubeconfig': '/c' }), { kind: 'kubeconfig', paths: '/c' });
  assert.deepEqual(place(kubeconfig), { kind: 'kubeconfig', paths: '/a:/b' });
  assert.deepEqual(place(pod), { kind: 'inCluster', host: '10.96.0.1', port: '443' });
  assert.equal(place({ KUBERNETES_SERVICE_HOST: '10.96.0.1' }), undefined);
});
