import assert from 'node:assert/strict';
import { request as httpsRequest } from 'node:https';
import { test } from 'node:test';
import { until } from '../../common/testing/until.ts';
import { withCluster } from '../testing/cluster.ts';
import { answerReview } from './admission-review.ts';
import { validatingWebhooks, type WebhookConfiguration, withRoots } from './ca-bundle.ts';
import { examples } from './testing/examples.ts';
import { webhookConfiguration } from './webhook-configuration.ts';

const policy = examples.find((e) => e.kind === 'AuthorizationPolicy')!;
const bad = { ...policy, spec: { ...(policy['spec'] as object), action: 'DENY', rules: [] } };
const review = (request: object) => ({
  apiVersion: 'admission.k8s.io/v1',
  kind: 'AdmissionReview',
  request: { uid: 'u', operation: 'CREATE', object: policy, ...request },
});
const answer = (request: object) =>
  (
    answerReview(review(request)) as {
      response: { uid: string; allowed: boolean; warnings?: string[]; status?: object };
    }
  ).response;

test('a review is answered with its uid, and a refusal with each field', () => {
  assert.deepEqual(answer({}), { uid: 'u', allowed: true });
  assert.deepEqual(answer({ object: bad }), {
    uid: 'u',
    allowed: false,
    status: {
      status: 'Failure',
      code: 422,
      reason: 'Invalid',
      message:
        'spec.rules: without rules nothing matches, so nothing is ever denied; add a rule; {} matches everything',
      details: {
        causes: [
          {
            reason: 'FieldValueInvalid',
            field: 'spec.rules',
            message: 'without rules nothing matches, so nothing is ever denied; add a rule; {} matches everything',
          },
        ],
      },
    },
  });
});

test('what is no write of an object, and what changes nothing, passes', () => {
  assert.equal(answer({ operation: 'DELETE', object: null, oldObject: bad }).allowed, true);
  assert.equal(answer({ subResource: 'status', object: bad }).allowed, true);
  const touched = { ...bad, metadata: { ...bad.metadata, labels: { a: 'b' } } };
  assert.equal(answer({ operation: 'UPDATE', object: touched, oldObject: bad }).allowed, true);
  const going = { ...bad, metadata: { ...bad.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } };
  assert.equal(answer({ operation: 'UPDATE', object: going, oldObject: policy }).allowed, true);
  assert.equal(answer({ operation: 'UPDATE', object: bad, oldObject: policy }).allowed, false);
  assert.equal(answer({ object: { ...policy, metadata: { generateName: 'a-', namespace: 'b' } } }).allowed, true);
});

test('warnings go to whoever writes', () => {
  const { allowed, warnings } = answer({ object: { ...policy, spec: { rules: [] } } });
  assert.deepEqual([allowed, warnings?.length], [true, 1]);
  assert.match(warnings![0]!, /^spec\.rules: an ALLOW policy without rules denies everything/);
});

test('the roots are filled into webhooks that call this istiod, and into no others', () => {
  const ours = webhookConfiguration({
    namespace: 'istio-system',
    service: 'istiod',
  }) as unknown as WebhookConfiguration;
  const foreign = { name: 'x', clientConfig: { service: { name: 'other', namespace: 'istio-system' } } };
  const both = { ...ours, webhooks: [...ours.webhooks!, foreign] };
  const filled = withRoots(both, 'istio-system', 'PEM')!;
  assert.deepEqual(
    filled.map((w) => w.clientConfig.caBundle),
    [Buffer.from('PEM').toString('base64'), undefined],
  );
  assert.equal(withRoots({ ...both, webhooks: filled }, 'istio-system', 'PEM'), undefined);
  assert.equal(withRoots(both, 'elsewhere', 'PEM'), undefined);
});

test('istiod answers reviews over TLS that its filled-in roots verify, within limits', async () => {
  await withCluster(async (cluster) => {
    const { istiod } = await cluster.start();
    await cluster.kube.create(
      validatingWebhooks,
      webhookConfiguration({ namespace: 'istio-system', service: 'istiod' }),
    );
    const name = 'istio-validator-istio-system';
    let bundle: string | undefined;
    await until('the roots to be filled in', async () => {
      const found = await cluster.kube.get(validatingWebhooks, { name });
      bundle = found?.webhooks?.[0]?.clientConfig.caBundle;
      return bundle !== undefined;
    });
    const ca = Buffer.from(bundle!, 'base64').toString();
    const ask = (body: string, path = '/validate?timeout=10s', type = 'application/json') =>
      new Promise<{ code: number; text: string }>((resolve, reject) => {
        const options = {
          host: '127.0.0.1',
          port: istiod.ports.https,
          servername: 'istiod.istio-system.svc',
          path,
          method: 'POST',
          ca,
          agent: false,
          headers: { 'content-type': type },
        };
        const request = httpsRequest(options, (response) => {
          let text = '';
          response.setEncoding('utf8').on('data', (chunk: string) => {
            text += chunk;
          });
          response.on('end', () => resolve({ code: response.statusCode!, text }));
        });
        request.on('error', reject);
        request.end(body);
      });
    const good = await ask(JSON.stringify(review({})));
    assert.deepEqual([good.code, JSON.parse(good.text).response.allowed], [200, true]);
    const refused = await ask(JSON.stringify(review({ object: bad })));
    assert.equal(JSON.parse(refused.text).response.allowed, false);
    const codes = await Promise.all([
      ask('{'),
      ask('{"kind":"Pod"}'),
      ask('{}', '/other'),
      ask('{}', '/validate', 'text/plain'),
    ]);
    assert.deepEqual(
      codes.map((c) => c.code),
      [400, 400, 404, 415],
    );
    const huge = await ask(' '.repeat(5 * 1024 * 1024)).catch(() => ({ code: 413 }));
    assert.equal(huge.code, 413);
    assert.equal((await ask(JSON.stringify(review({})))).code, 200);
  });
});
