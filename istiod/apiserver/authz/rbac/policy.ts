/** All roles and bindings, kept as they change, so that a request's rules are found by its user and groups. */

import type { User } from '../../authn/authenticator.ts';
import { parseUserName } from '../../authn/service-account-names.ts';
import type { Feeds } from '../../controllers/runtime/feed.ts';
import type { ApiObject } from '../../objects.ts';
import { type Binding, type PolicyRule, type Role, type Subject, stores } from './types.ts';

export interface Granted {
  readonly rules: readonly PolicyRule[];
  /** `ClusterRoleBinding "x" of ClusterRole "y"`. */
  readonly by: string;
}

/** Bindings of one namespace, or of the cluster, by subject. */
type Bindings = Map<string, Map<string, Binding>>;

const cluster = '';

export class Policy {
  readonly #roles = new Map<string, Role>();
  readonly #clusterRoles = new Map<string, Role>();
  /** Of each binding that is there, under which subjects it is found. */
  readonly #bindings = new Map<string, Bindings>();
  readonly #present = new Map<string, Binding>();

  constructor(feeds: Pick<Feeds, 'read'>) {
    feeds.read(stores.role, ({ key, deleted, object }) =>
      put(this.#roles, `${key.namespace}/${key.name}`, deleted, object()),
    );
    feeds.read(stores.clusterRole, ({ key, deleted, object }) => put(this.#clusterRoles, key.name, deleted, object()));
    for (const resource of [stores.roleBinding, stores.clusterRoleBinding]) {
      feeds.read(resource, ({ key, deleted, object }) =>
        this.#bind(key.namespace, key.name, deleted ? undefined : (object() as Binding)),
      );
    }
  }

  clusterRoles(): Iterable<Role> {
    return this.#clusterRoles.values();
  }

  /** The rules of a role; undefined when there is none. */
  rulesOf({ kind, name }: Binding['roleRef'], namespace: string): readonly PolicyRule[] | undefined {
    const role = kind === 'Role' ? this.#roles.get(`${namespace}/${name}`) : this.#clusterRoles.get(name);
    return role === undefined ? undefined : (role.rules ?? []);
  }

  /** Everything that a user holds in a namespace, or with an empty one in the whole cluster. `missing` hears of roles that are not there. */
  *granted(user: User, namespace: string, missing?: (text: string) => void): Generator<Granted> {
    const subjects = subjectsOf(user);
    for (const place of namespace === cluster ? [cluster] : [cluster, namespace]) {
      const bindings = this.#bindings.get(place);
      if (bindings === undefined) continue;
      for (const subject of subjects) {
        for (const [name, { roleRef }] of bindings.get(subject) ?? []) {
          const rules = this.rulesOf(roleRef, place);
          if (rules === undefined)
            missing?.(`${roleRef.kind.toLowerCase()}.rbac.authorization.k8s.io "${roleRef.name}" not found`);
          else
            yield {
              rules,
              by: `${place === cluster ? 'ClusterRoleBinding' : 'RoleBinding'} "${place === cluster ? name : `${name}/${place}`}" of ${roleRef.kind} "${roleRef.name}"`,
            };
        }
      }
    }
  }

  #bind(namespace: string, name: string, binding: Binding | undefined): void {
    const key = `${namespace}/${name}`;
    const place: Bindings = this.#bindings.get(namespace) ?? new Map();
    for (const subject of this.#present.get(key)?.subjects ?? []) {
      const id = subjectId(subject, namespace);
      place.get(id)?.delete(name);
      if (place.get(id)?.size === 0) place.delete(id);
    }
    this.#present.delete(key);
    if (binding !== undefined) {
      this.#present.set(key, binding);
      for (const subject of binding.subjects ?? []) {
        const id = subjectId(subject, namespace);
        place.set(id, (place.get(id) ?? new Map()).set(name, binding));
      }
    }
    if (place.size === 0) this.#bindings.delete(namespace);
    else this.#bindings.set(namespace, place);
  }
}

function put(roles: Map<string, Role>, key: string, deleted: boolean, object: ApiObject): void {
  if (deleted) roles.delete(key);
  else roles.set(key, object);
}

/** A service account is its user's name too. */
function subjectId({ kind, name, namespace }: Subject, ofBinding: string): string {
  return kind === 'ServiceAccount' ? `ServiceAccount ${namespace ?? ofBinding}/${name}` : `${kind} ${name}`;
}

function subjectsOf(user: User): readonly string[] {
  const account = parseUserName(user.name);
  return [
    `User ${user.name}`,
    ...(account === undefined ? [] : [`ServiceAccount ${account.namespace}/${account.name}`]),
    ...new Set(user.groups.map((g) => `Group ${g}`)),
  ];
}
