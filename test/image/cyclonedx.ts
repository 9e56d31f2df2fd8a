/** What CycloneDX 1.6 (ECMA-424) requires of a document in JSON, as far as ours has it. Pure. */

type Json = unknown;

const object = (value: Json): value is Readonly<Record<string, Json>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
const text = (value: Json): value is string => typeof value === 'string' && value !== '';
const list = (value: Json): readonly Json[] => (Array.isArray(value) ? value : []);

/** Section 6.2: the values of `type`. */
const types = new Set([
  ...['application', 'framework', 'library', 'container', 'platform', 'operating-system', 'device', 'device-driver'],
  ...['firmware', 'file', 'machine-learning-model', 'data', 'cryptographic-asset'],
]);
/** package-url: scheme, type, name, version. */
const purl = /^pkg:(deb\/debian|npm|generic)\/[A-Za-z0-9%.+\-_~/]+@[A-Za-z0-9%.+\-_~:]+(\?arch=\w+&distro=\w+)?$/;

/** `components[3].name is missing`, each; none: it is one. */
export function mistakesIn(document: Json): readonly string[] {
  if (!object(document)) return ['it is no object'];
  const mistakes: string[] = [];
  const check = (holds: boolean, what: string) => holds || mistakes.push(what);
  check(document['bomFormat'] === 'CycloneDX', 'bomFormat is not CycloneDX');
  check(document['specVersion'] === '1.6', 'specVersion is not 1.6');
  check(Number.isInteger(document['version']) && Number(document['version']) >= 1, 'version is no number from 1');
  const metadata = object(document['metadata']) ? document['metadata'] : {};
  check(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(String(metadata['timestamp'])), 'metadata.timestamp is no time');
  const components = list(document['components']);
  check(components.length > 0, 'components is empty');
  const refs: string[] = [];
  for (const [at, component] of [
    ['metadata.component', metadata['component']] as const,
    ...components.map((c, i) => [`components[${i}]`, c] as const),
  ]) {
    if (!object(component)) {
      mistakes.push(`${at} is no object`);
      continue;
    }
    check(types.has(String(component['type'])), `${at}.type is none`);
    for (const key of ['name', 'version', 'bom-ref']) check(text(component[key]), `${at}.${key} is missing`);
    check(purl.test(String(component['purl'])), `${at}.purl is none: ${component['purl']}`);
    check(licensesHold(component['licenses']), `${at}.licenses are not of one form`);
    for (const hash of list(component['hashes']))
      check(
        object(hash) && hash['alg'] === 'SHA-256' && /^[0-9a-f]{64}$/.test(String(hash['content'])),
        `${at}.hashes`,
      );
    refs.push(String(component['bom-ref']));
  }
  check(new Set(refs).size === refs.length, 'bom-ref is not unique');
  for (const dependency of list(document['dependencies'])) {
    const { ref, dependsOn } = object(dependency) ? dependency : {};
    for (const name of [ref, ...list(dependsOn)]) check(refs.includes(String(name)), `dependencies name ${name}`);
  }
  return mistakes;
}

/** Either one expression, or licenses that each have an id or a name. */
function licensesHold(value: Json): boolean {
  const all = list(value);
  const [first] = all;
  if (object(first) && 'expression' in first) return all.length === 1 && text(first['expression']);
  return (
    all.length > 0 &&
    all.every((l) => object(l) && object(l['license']) && text(l['license']['id'] ?? l['license']['name']))
  );
}
