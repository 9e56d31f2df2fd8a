import assert from 'node:assert/strict';
import { webcrypto, X509Certificate } from 'node:crypto';
import { test } from 'node:test';
import { systemClock } from '../core/clock.ts';
import { MeshError } from '../core/errors.ts';
import type { WorkloadCertificate } from '../identity/types.ts';
import { BasicConstraintsExtension, X509CertificateGenerator } from '../identity/x509.ts';
import { identity } from '../testing/builders.ts';
import { createFakeCa } from '../testing/fake-ca.ts';
import { parseRevocationLists } from './crl.ts';
import { type PeerChain, RevocationLists } from './revocation.ts';

const ca = await createFakeCa();
const below = await ca.intermediate('O=below');
const alice = identity('default', 'alice');
const direct = await ca.issue(alice);
const other = await ca.issue(identity('default', 'other'));
const deep = await below.issue(alice);

function chain(of: WorkloadCertificate, more: readonly string[] = []): PeerChain {
  const [leaf, ...sent] = [...of.chain, ...more].map((pem) => new X509Certificate(pem));
  return { leaf: leaf!, sent, roots: of.roots.map((pem) => new X509Certificate(pem)) };
}

function lists(...pems: readonly string[]) {
  const seen: string[] = [];
  const revocation = new RevocationLists(systemClock, {
    rejected: (side) => void seen.push(`rejected ${side}`),
    unknown: (side) => void seen.push(`unknown ${side}`),
  });
  if (pems.length > 0) revocation.replace(parseRevocationLists(pems.join('\n')));
  /** What admit says: good, unknown, or the reason. */
  const verdict = (c: PeerChain): string => {
    seen.length = 0;
    try {
      revocation.admit(c, 'source');
      return seen.length === 0 ? 'good' : seen.join();
    } catch (e) {
      assert.ok(e instanceof MeshError && e.code === 'CERT_REVOKED' && e.responseFlag === 'CERT_REVOKED');
      assert.deepEqual(seen, ['rejected source']);
      return e.message;
    }
  };
  return { revocation, verdict, seen };
}

test('a leaf by the list of its own issuer, and nobody else', async () => {
  const { verdict } = lists(await ca.revoke([direct.chain[0]!]));
  assert.match(verdict(chain(direct)), /serial number [0-9a-f]+ is on the list of O=fake-ca/);
  assert.equal(verdict(chain(other)), 'good');
  assert.equal(verdict(chain(deep)), 'unknown source', 'no list of its issuer');
  const stranger = await createFakeCa();
  const forged = lists(await stranger.revoke([direct.chain[0]!]));
  assert.equal(forged.verdict(chain(direct)), 'unknown source', 'same name, another key');
});

test('an authority between leaf and root', async () => {
  const [intermediate] = below.root === ca.root ? deep.chain.slice(1) : [];
  const { verdict } = lists(await ca.revoke([intermediate!]), await below.revoke([]));
  assert.match(verdict(chain(deep)), /is on the list of O=fake-ca/);
  assert.equal(lists(await ca.revoke([]), await below.revoke([])).verdict(chain(deep)), 'good');
  assert.match(lists(await ca.revoke([]), await below.revoke([deep.chain[0]!])).verdict(chain(deep)), /O=below/);
});

/** An authority's certificate with these names, by a key of nobody's. */
async function unsignedLookalike(issuer: string, subject: string): Promise<string> {
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await X509CertificateGenerator.create(
    {
      serialNumber: '01',
      issuer,
      subject,
      notBefore: new Date(Date.now() - 60_000),
      notAfter: new Date(Date.now() + 3_600_000),
      publicKey: keys.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: algorithm,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    },
    webcrypto as Crypto,
  );
  return certificate.toString('pem');
}

test('nothing that a peer sends along hides a revoked authority; another way that is good will do', async () => {
  const revoked = lists(await ca.revoke([deep.chain[1]!]), await below.revoke([])).verdict;
  const lookalike = await (await createFakeCa()).intermediate('O=below');
  const extra = [lookalike, await below.intermediate('O=below')].map((x) => x.issue(alice));
  const more = (await Promise.all(extra)).flatMap((x) => x.chain.slice(1));
  assert.match(revoked(chain({ ...deep, chain: [deep.chain[0]!, ...more, deep.chain[1]!] })), /is revoked/);
  assert.match(revoked(chain({ ...deep, chain: [deep.chain[0]!, ...more] })), /is revoked/);
  // Without key identifiers only the signature tells it from the real one.
  const forged = await unsignedLookalike('O=fake-ca', 'O=below');
  assert.match(revoked(chain({ ...deep, chain: [deep.chain[0]!, forged, deep.chain[1]!] })), /is revoked/);
  const many = Array.from({ length: 9 }, () => deep.chain[1]!);
  assert.match(lists().verdict(chain(deep, many)), /more than 8/);
});

test('without lists, or with lists that are too old, all is unknown; what they revoke stays revoked', async () => {
  assert.equal(lists().verdict(chain(direct)), 'unknown source');
  const old = await ca.revoke([direct.chain[0]!], { nextUpdate: Date.now() - 1_000 });
  const { verdict } = lists(old);
  assert.equal(verdict(chain(other)), 'unknown source');
  assert.match(verdict(chain(direct)), /is revoked/);
});

test('open connections are asked again with each change, and cut once', async () => {
  const { revocation, seen } = lists(await ca.revoke([]));
  const cuts: string[] = [];
  revocation.watch(chain(direct), 'destination', (e) => void cuts.push(e.message));
  const stop = revocation.watch(chain(direct), 'source', () => assert.fail('it was stopped'));
  revocation.watch(chain(other), 'source', () => assert.fail('it is not revoked'));
  stop();
  const revoking = parseRevocationLists(await ca.revoke([direct.chain[0]!]));
  revocation.replace(revoking);
  revocation.replace(revoking);
  assert.equal(cuts.length, 1);
  assert.deepEqual(seen, ['rejected destination']);
  revocation.watch(chain(direct), 'source', (e) => void cuts.push(e.message));
  assert.equal(cuts.length, 2, 'also what was revoked between handshake and watch');
});
