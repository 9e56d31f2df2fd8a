/** The subresource `token` of service accounts: TokenRequest (authentication.k8s.io/v1). */
import { randomUUID } from 'node:crypto';
import type { JWTPayload } from 'jose';
import { nodeKind, podKind, secretKind } from '../../../common/kube/kinds/core.ts';
import { kindName } from '../../../common/kube/names.ts';
import { tokenRequestSpec } from '../../../common/kube/schema/access.ts';
import { object } from '../../../common/kube/schema/types.ts';
import { timestamp } from '../../../common/kube/timestamp.ts';
import type { Kind } from '../../../common/kube/types.ts';
import { resourcesOf } from '../kinds/built-in.ts';
import { type ApiObject, fromJson } from '../objects.ts';
import type { Part, PartMaker } from '../part.ts';
import type { Resource } from '../resources/resource.ts';
import { readReview } from '../rest/review.ts';
import { badRequest, type Cause, conflict, invalid, methodNotAllowed, notFound } from '../status.ts';
import type { Store } from '../storage/types.ts';
import { type BoundSubject, boundPayload, issuer, type Ref } from './claims.ts';
import type { Tokens } from './tokens.ts';

const group = 'authentication.k8s.io';

/** Never in the registry: there is no list of them. */
const [tokenRequest] = resourcesOf({
  entry: {
    kind: { group, version: 'v1', kind: 'TokenRequest', plural: 'tokenrequests', namespaced: true },
    versions: ['v1'],
    nameRule: 'path',
    fields: object({ 'spec!': tokenRequestSpec, status: object({}) }),
  },
}) as readonly [Resource];

interface Spec {
  readonly audiences?: readonly string[];
  readonly expirationSeconds?: number;
  readonly boundObjectRef?: {
    readonly kind?: string;
    readonly apiVersion?: string;
    readonly name?: string;
    readonly uid?: string;
  };
}

const [shortest, usual, longest] = [600, 3600, 2 ** 32];
/** What kubelets ask for where a pod names nothing else. Such a token lives a year, for clients that never read it again. */
const kubeletDefault = 3607;
const year = 365 * 86_400;

type Endpoints = NonNullable<Part['endpoints']>;

export function tokenRequestEndpoints({ rest, clock }: Parameters<PartMaker>[0], tokens: Tokens): Endpoints {
  return [
    {
      of: { group: '', resource: 'serviceaccounts' },
      subresource: 'token',
      describe: () => ({ name: 'token', group, version: 'v1', kind: 'TokenRequest', verbs: ['create'] }),
      async handle(request, accounts) {
        const { verb, namespace, name } = request.info;
        if (verb !== 'create') throw methodNotAllowed(accounts, verb);
        const review = await readReview(request, tokenRequest, { namespace, name });
        const spec = review['spec'] as Spec;
        const seconds = spec.expirationSeconds ?? usual;
        checkExpiration(seconds);
        const account = fromJson(rest.get(accounts, namespace, name).json);
        const audiences = (spec.audiences?.length ?? 0) === 0 ? [issuer] : spec.audiences!;
        const subject = { namespace, serviceAccount: refOf(account), ...bindingOf(rest.store, namespace, name, spec) };
        const now = Math.floor(clock.wall() / 1000);
        const payload = payloadOf(subject, audiences, seconds, now);
        const dryRun = request.query.has('dryRun');
        return {
          kind: 'value',
          code: 201,
          value: {
            ...review,
            metadata: { ...review.metadata, name, namespace, creationTimestamp: timestamp(clock.wall()) },
            spec: { ...spec, audiences, expirationSeconds: seconds },
            status: {
              token: dryRun ? '' : await tokens.sign(payload),
              expirationTimestamp: timestamp((now + seconds) * 1000),
            },
          },
        };
      },
    },
  ];
}

export function payloadOf(
  subject: BoundSubject,
  audiences: readonly string[],
  seconds: number,
  now: number,
): JWTPayload {
  const extended = seconds === kubeletDefault && subject.pod !== undefined && audiences.every((a) => a === issuer);
  return boundPayload({
    subject,
    audiences,
    now,
    expires: now + (extended ? year : seconds),
    warnAfter: extended ? now + seconds : undefined,
    id: randomUUID(),
  });
}

function checkExpiration(seconds: number): void {
  const limit =
    seconds < shortest
      ? 'may not specify a duration less than 10 minutes'
      : seconds > longest
        ? 'may not specify a duration larger than 2^32 seconds'
        : undefined;
  if (limit === undefined) return;
  const cause: Cause = {
    reason: 'FieldValueInvalid',
    field: 'spec.expirationSeconds',
    message: `Invalid value: ${seconds}: ${limit}`,
  };
  throw invalid(group, 'TokenRequest', '', [cause]);
}

const bindable: ReadonlyMap<string, { readonly kind: Kind; readonly as: 'pod' | 'secret' | 'node' }> = new Map([
  ['Pod', { kind: podKind, as: 'pod' }],
  ['Secret', { kind: secretKind, as: 'secret' }],
  ['Node', { kind: nodeKind, as: 'node' }],
]);

function bindingOf(store: Store, namespace: string, account: string, { boundObjectRef }: Spec): Partial<BoundSubject> {
  if (boundObjectRef === undefined) return {};
  const { kind: kindText = '', apiVersion = '', name = '', uid = '' } = boundObjectRef;
  const found = bindable.get(kindText);
  if (found === undefined || apiVersion !== 'v1')
    throw badRequest(
      `cannot bind token to object of type ${apiVersion}, Kind=${kindText}: it is no v1 Pod, Secret or Node`,
    );
  const object = readObject(store, found.kind, found.kind.namespaced ? namespace : '', name);
  if (object === undefined) throw notFound({ group: '', resource: found.kind.plural }, name);
  if (uid !== '' && uid !== object.metadata.uid) {
    const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw conflict({ group: '', resource: found.kind.plural }, name, why);
  }
  if (found.as !== 'pod') return { [found.as]: refOf(object) };
  const pod = object['spec'] as { readonly serviceAccountName?: string; readonly nodeName?: string };
  if ((pod.serviceAccountName ?? 'default') !== account)
    throw badRequest(
      `cannot bind token for serviceaccount "${account}" to pod running with different serviceaccount name.`,
    );
  const node = (pod.nodeName ?? '') === '' ? undefined : readObject(store, nodeKind, '', pod.nodeName!);
  return { pod: refOf(object), ...(node === undefined ? {} : { node: refOf(node) }) };
}

function readObject(store: Store, kind: Kind, namespace: string, name: string): ApiObject | undefined {
  const stored = store.get({ resource: kindName(kind), namespace, name });
  return stored === undefined ? undefined : fromJson(stored.json);
}

function refOf({ metadata }: ApiObject): Ref {
  return { name: metadata.name ?? '', uid: metadata.uid ?? '' };
}
