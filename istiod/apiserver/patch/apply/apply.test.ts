/** Appliers and updaters against a model that knows only leaves and who wants them. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { builtInResources } from '../../kinds/table.ts';
import type { ApiObject } from '../../objects.ts';
import type { Resource } from '../../resources/resource.ts';
import { ApiError } from '../../status.ts';
import { applyConfig, trackUpdate } from './apply.ts';
import { compare } from './compare.ts';
import { createdFields } from './created.ts';
import { difference, type FieldSet, fromFieldsV1, intersection, pathsOf, toFieldsV1, union } from './field-set.ts';
import { ownable } from './managers.ts';
import { pathText } from './steps.ts';

const resourceOf = (name: string): Resource => builtInResources.find((r) => r.resource === name)!;
const deployments = resourceOf('deployments');
const configMaps = resourceOf('configmaps');

const writer = (resource: Resource, manager: string, now = 0) => ({ resource, subresource: '', manager, now });

function apply(live: ApiObject | undefined, manager: string, config: ApiObject, force = false): ApiObject {
  const resource = config.kind === 'Deployment' ? deployments : configMaps;
  return applyConfig(writer(resource, manager), live && structuredClone(live), structuredClone(config), force);
}

function deployment(spec: object, containers?: readonly object[]): ApiObject {
  const template = containers === undefined ? {} : { template: { spec: { containers } } };
  return { apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'web' }, spec: { ...spec, ...template } };
}

function fieldsOf(object: ApiObject, manager: string): unknown {
  return object.metadata.managedFields?.find((m) => m.manager === manager)?.fieldsV1;
}

function refusal(work: () => unknown): ApiError {
  try {
    work();
  } catch (e) {
    if (e instanceof ApiError) return e;
    throw e;
  }
  throw new Error('not refused');
}

describe('one applier', () => {
  test('owns what it names, by the keys of lists, and not the objects around', () => {
    const object = apply(undefined, 'a', deployment({ replicas: 1 }, [{ name: 'c', image: 'i', args: ['x'] }]));
    assert.deepEqual(fieldsOf(object, 'a'), {
      'f:spec': {
        'f:replicas': {},
        'f:template': {
          'f:spec': { 'f:containers': { 'k:{"name":"c"}': { '.': {}, 'f:args': {}, 'f:image': {}, 'f:name': {} } } },
        },
      },
    });
  });

  test('gives up by leaving out', () => {
    const first = apply(undefined, 'a', deployment({ replicas: 1 }, [{ name: 'c' }, { name: 'd', image: 'i' }]));
    const second = apply(first, 'a', deployment({}, [{ name: 'd' }]));
    assert.deepEqual(second['spec'], { template: { spec: { containers: [{ name: 'd' }] } } });
  });

  test('has keys with their defaults', () => {
    const object = apply(undefined, 'a', deployment({}, [{ name: 'c', ports: [{ containerPort: 80 }] }]));
    assert.match(JSON.stringify(fieldsOf(object, 'a')), /"k:\{\\"containerPort\\":80,\\"protocol\\":\\"TCP\\"\}"/);
  });

  test('an apply that changes nothing changes no time', () => {
    const config = deployment({ replicas: 1 });
    const first = apply(undefined, 'a', config);
    assert.deepEqual(applyConfig(writer(deployments, 'a', 60_000), structuredClone(first), config, false), first);
  });
});

describe('two of them', () => {
  const first = apply(undefined, 'a', deployment({ replicas: 1, paused: true }, [{ name: 'c', image: 'i' }]));

  test('share what they want alike, and it stays until both are done', () => {
    const both = apply(first, 'b', deployment({ replicas: 1 }));
    const one = apply(both, 'a', deployment({}));
    assert.deepEqual(one['spec'], { replicas: 1 });
    assert.deepEqual(apply(one, 'b', deployment({}))['spec'], undefined);
  });

  test('conflict in the words of Kubernetes', () => {
    const one = refusal(() => apply(first, 'b', deployment({ replicas: 2 })));
    assert.deepEqual(
      [one.status.code, one.status.reason, one.message],
      [409, 'Conflict', 'Apply failed with 1 conflict: conflict with "a": .spec.replicas'],
    );
    assert.deepEqual(one.status.details?.causes, [
      { reason: 'FieldManagerConflict', message: 'conflict with "a"', field: '.spec.replicas' },
    ]);
    const updated = structuredClone(first);
    (updated['spec'] as { replicas: number }).replicas = 5;
    trackUpdate(writer(deployments, 'u'), updated, first);
    const two = refusal(() => apply(updated, 'b', deployment({ replicas: 2 }, [{ name: 'c', image: 'j' }])));
    assert.equal(
      two.message,
      'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.template.spec.containers[name="c"].image\n' +
        'conflicts with "u" using apps/v1:\n- .spec.replicas',
    );
  });

  test('force takes over', () => {
    const taken = apply(first, 'b', deployment({ replicas: 2 }), true);
    assert.deepEqual(fieldsOf(taken, 'b'), { 'f:spec': { 'f:replicas': {} } });
    assert.deepEqual(Object.keys((fieldsOf(taken, 'a') as { 'f:spec': object })['f:spec']), ['f:paused', 'f:template']);
  });

  test('fill one list', () => {
    const both = apply(first, 'b', deployment({}, [{ name: 'side', image: 's' }, { name: 'c' }]));
    const { containers } = (both['spec'] as { template: { spec: { containers: { name: string }[] } } }).template.spec;
    assert.deepEqual(
      containers.map((c) => c.name),
      ['side', 'c'],
    );
  });
});

describe('updates', () => {
  test('take what they change, and the objects that they make', () => {
    const made = deployment({ replicas: 1 });
    made.metadata.labels = { x: '1' };
    trackUpdate(writer(deployments, 'u'), made, undefined);
    assert.deepEqual(fieldsOf(made, 'u'), {
      'f:metadata': { 'f:labels': { '.': {}, 'f:x': {} } },
      'f:spec': { '.': {}, 'f:replicas': {} },
    });
    const changed = structuredClone(made);
    changed.metadata.labels = { x: '2', y: '1' };
    trackUpdate(writer(deployments, 'v'), changed, made);
    assert.deepEqual(fieldsOf(changed, 'v'), { 'f:metadata': { 'f:labels': { 'f:x': {}, 'f:y': {} } } });
    assert.deepEqual(fieldsOf(changed, 'u'), {
      'f:metadata': { 'f:labels': {} },
      'f:spec': { '.': {}, 'f:replicas': {} },
    });
  });

  test('without managedFields leave them; a single empty entry takes them away, and who applies next meets what was there', () => {
    const made = apply(undefined, 'a', deployment({ replicas: 1 }));
    const silent: ApiObject = { ...structuredClone(made), metadata: { name: 'web', managedFields: [] } };
    trackUpdate(writer(deployments, 'u'), silent, made);
    assert.deepEqual(silent.metadata.managedFields, made.metadata.managedFields);
    const reset: ApiObject = { ...structuredClone(made), metadata: { name: 'web', managedFields: [{}] } };
    trackUpdate(writer(deployments, 'u'), reset, made);
    assert.equal(reset.metadata.managedFields, undefined);
    const conflict = refusal(() => apply(reset, 'a', deployment({ replicas: 2 })));
    assert.equal(
      conflict.message,
      'Apply failed with 1 conflict: conflict with "before-first-apply" using apps/v1: .spec.replicas',
    );
  });

  test('no more than ten updaters are kept', () => {
    let object: ApiObject = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'c' }, data: {} };
    trackUpdate(writer(configMaps, 'u0'), object, undefined);
    for (let i = 1; i < 15; i++) {
      const next = structuredClone(object);
      (next['data'] as Record<string, string>)[`k${i}`] = 'v';
      trackUpdate(writer(configMaps, `u${i}`, i * 1000), next, object);
      object = next;
    }
    assert.equal(object.metadata.managedFields!.length, 10);
    assert.match(JSON.stringify(fieldsOf(object, 'ancient-changes')), /f:k1".*f:k5"/);
  });
});

test('a creation is owned as everything that differs from nothing', () => {
  const podSchema = resourceOf('pods').schema;
  const name = fc.constantFrom(
    'metadata',
    'spec',
    'containers',
    'name',
    'image',
    'ports',
    'containerPort',
    'labels',
    'x',
  );
  const { value: json } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 5 }, fc.constantFrom<unknown>('a', 1, null, true), tie('list'), tie('map')),
    list: fc.array(tie('value'), { maxLength: 3 }),
    map: fc.dictionary(name, tie('value'), { maxKeys: 4, noNullPrototype: true }),
  }));
  fc.assert(
    fc.property(fc.dictionary(name, json, { noNullPrototype: true }), (fields) => {
      const object = { ...fields, apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p', labels: fields['labels'] } };
      const { set } = compare(podSchema, { apiVersion: 'v1', kind: 'Pod', metadata: {} }, object);
      assert.deepEqual(createdFields(podSchema, object, false), toFieldsV1(ownable(set)));
    }),
    { numRuns: 1000 },
  );
});

test('kubectl goes over from client-side apply without conflicts with itself', () => {
  const config = deployment({ replicas: 1 });
  const noted = structuredClone(config);
  const annotation = 'kubectl.kubernetes.io/last-applied-configuration';
  noted.metadata.annotations = { [annotation]: JSON.stringify(config) };
  trackUpdate(writer(deployments, 'kubectl-client-side-apply'), noted, undefined);
  const over = apply(noted, 'kubectl', deployment({ replicas: 3 }));
  assert.deepEqual(over['spec'], { replicas: 3 });
  assert.match(over.metadata.annotations![annotation]!, /"replicas":3/);
  assert.equal(refusal(() => apply(noted, 'other', deployment({ replicas: 3 }))).status.code, 409);
});

/** Paths as text -> value, or true for an item that is there. */
type Leaves = ReadonlyMap<string, string | true>;

class Model {
  readonly state = new Map<string, string | true>();
  readonly #owners = new Map<string, Set<string>>();
  readonly #applied = new Map<string, Leaves>();

  #ownersOf(path: string): Set<string> {
    const owners = this.#owners.get(path) ?? new Set();
    this.#owners.set(path, owners);
    return owners;
  }

  /** False: a conflict. */
  apply(manager: string, wanted: Leaves, force: boolean): boolean {
    const me = `apply ${manager}`;
    const differing = [...wanted].filter(([path, value]) => this.state.get(path) !== value).map(([path]) => path);
    const taken = differing.filter((path) => [...this.#ownersOf(path)].some((o) => o !== me));
    if (taken.length > 0 && !force) return false;
    for (const path of taken) this.#owners.set(path, new Set());
    const gone = [...(this.#applied.get(manager) ?? new Map()).keys()].filter((path) => !wanted.has(path));
    for (const [path, value] of wanted) {
      this.state.set(path, value);
      this.#ownersOf(path).add(me);
    }
    // Items first: what is in an item that nobody wants goes with it.
    for (const path of gone) {
      this.#ownersOf(path).delete(me);
      if (this.#ownersOf(path).size === 0) this.#remove(path);
    }
    this.#applied.set(manager, wanted);
    return true;
  }

  update(manager: string, next: Leaves): void {
    for (const path of [...this.state.keys()]) if (!next.has(path)) this.#forget(path);
    for (const [path, value] of next) {
      if (this.state.get(path) !== value) {
        this.#owners.set(path, new Set([`update ${manager}`]));
        for (const applied of this.#applied.keys()) this.#disown(applied, path);
      }
      this.state.set(path, value);
    }
  }

  #disown(manager: string, path: string): void {
    this.#applied.set(manager, new Map([...this.#applied.get(manager)!].filter(([p]) => p !== path)));
  }

  #remove(path: string): void {
    for (const below of [...this.state.keys()]) {
      if (below === path || below.startsWith(`${path}.`)) this.#forget(below);
    }
  }

  #forget(path: string): void {
    this.state.delete(path);
    this.#owners.delete(path);
    for (const applied of this.#applied.keys()) this.#disown(applied, path);
  }

  ownedBy(manager: string): readonly string[] {
    return [...this.#owners].filter(([, o]) => o.has(manager)).map(([path]) => path);
  }
}

interface Shape {
  readonly labels: Readonly<Record<string, string>>;
  /** Containers by name; their fields. */
  readonly items: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

function objectOf({ labels, items }: Shape): ApiObject {
  const containers = Object.entries(items).map(([name, fields]) => ({ name, ...fields }));
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name: 'web', ...(Object.keys(labels).length === 0 ? {} : { labels }) },
    ...(containers.length === 0 ? {} : { spec: { template: { spec: { containers } } } }),
  };
}

function leavesOf(object: ApiObject): Leaves {
  const leaves = new Map<string, string | true>();
  for (const [k, v] of Object.entries(object.metadata.labels ?? {})) leaves.set(`labels.${k}`, v);
  const spec = object['spec'] as { template?: { spec?: { containers?: Record<string, string>[] } } } | undefined;
  for (const { name, ...fields } of spec?.template?.spec?.containers ?? []) {
    leaves.set(`item ${name}`, true);
    for (const [k, v] of Object.entries(fields)) leaves.set(`item ${name}.${k}`, v);
  }
  return leaves;
}

const value = fc.constantFrom('1', '2');
const shape: fc.Arbitrary<Shape> = fc.record({
  labels: fc.dictionary(fc.constantFrom('x', 'y', 'z'), value, { noNullPrototype: true }),
  items: fc.dictionary(
    fc.constantFrom('a', 'b', 'c'),
    fc.dictionary(fc.constantFrom('image', 'workingDir'), value, { noNullPrototype: true }),
    { noNullPrototype: true },
  ),
});

test('random appliers and updaters agree with the model', () => {
  const step = fc.record({
    kind: fc.constantFrom('apply', 'apply', 'force', 'update'),
    manager: fc.constantFrom('a', 'b', 'c'),
    shape,
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
      const model = new Model();
      let object: ApiObject | undefined;
      for (const { kind, manager, shape: s } of steps) {
        const sent = objectOf(s);
        if (kind === 'update') {
          const next = { ...structuredClone(sent) };
          trackUpdate(writer(deployments, manager), next, object);
          // Whoever owned nothing before has nothing to track; the model has no word for it.
          if (object !== undefined && object.metadata.managedFields === undefined) continue;
          model.update(manager, leavesOf(next));
          object = next;
          continue;
        }
        const fits = model.apply(manager, leavesOf(sent), kind === 'force');
        try {
          object = apply(object, manager, sent, kind === 'force');
          assert.ok(fits, 'a conflict was not seen');
        } catch (e) {
          if (!(e instanceof ApiError)) throw e;
          assert.ok(!fits, e.message);
        }
        assert.deepEqual(new Map([...leavesOf(object!)].sort()), new Map([...model.state].sort()));
        for (const entry of object!.metadata.managedFields ?? []) {
          const who = `${entry.operation!.toLowerCase()} ${entry.manager}`;
          assert.deepEqual(leavesIn(fromFieldsV1(entry.fieldsV1)!).sort(), [...model.ownedBy(who)].sort(), who);
        }
      }
    }),
    { numRuns: 300 },
  );
});

/** Only paths that the model knows. */
function leavesIn(set: FieldSet): string[] {
  return [...pathsOf(set)].map(pathText).flatMap((path) => {
    const label = /^\.metadata\.labels\.(.+)$/.exec(path);
    if (label !== null) return [`labels.${label[1]}`];
    const item = /\[name="(.)"\](?:\.(.+))?$/.exec(path);
    if (item === null || item[2] === 'name') return [];
    return [`item ${item[1]}${item[2] === undefined ? '' : `.${item[2]}`}`];
  });
}

describe('sets of fields', () => {
  const path = fc.array(fc.constantFrom('f:a', 'f:b', 'k:{"n":1}', 'v:"x"'), { minLength: 1, maxLength: 4 });
  const paths = fc.array(path, { maxLength: 8 });
  const build = (all: readonly (readonly string[])[]): FieldSet => {
    let set: FieldSet = { member: false, children: new Map() };
    for (const p of all) {
      let one: FieldSet = { member: true, children: new Map() };
      for (const s of p.toReversed()) one = { member: false, children: new Map([[s, one]]) };
      set = union(set, one);
    }
    return set;
  };
  const texts = (set: FieldSet) => new Set([...pathsOf(set)].map((p) => p.join('/')));

  test('are sets of paths', () => {
    fc.assert(
      fc.property(paths, paths, (a, b) => {
        const [x, y] = [new Set(a.map((p) => p.join('/'))), new Set(b.map((p) => p.join('/')))];
        assert.deepEqual(texts(union(build(a), build(b))), new Set([...x, ...y]));
        assert.deepEqual(texts(intersection(build(a), build(b))), new Set([...x].filter((p) => y.has(p))));
        assert.deepEqual(texts(difference(build(a), build(b))), new Set([...x].filter((p) => !y.has(p))));
        assert.deepEqual(texts(fromFieldsV1(toFieldsV1(build(a)))!), x);
      }),
    );
  });

  test('are read from nothing else than FieldsV1', () => {
    fc.assert(fc.property(fc.jsonValue(), (json) => void fromFieldsV1(json)));
    for (const bad of [[], 'x', { a: {} }, { 'f:a': 1 }, { 'f:a': { b: {} } }]) {
      assert.equal(fromFieldsV1(bad), undefined);
    }
  });
});
