/** What is in the image, as a CycloneDX 1.6 document (ECMA-424). Pure. */

export interface Part {
  readonly kind: 'debian' | 'npm';
  readonly name: string;
  readonly version: string;
  /** Architecture of a Debian package. */
  readonly architecture?: string;
  /** SPDX expression of an npm package, or names of licenses as a Debian package has them; empty: its copyright file says. */
  readonly licenses: readonly string[];
  /** Of the archive it came in, hex. */
  readonly sha256?: string;
}

export interface SbomInput {
  readonly version: string;
  readonly license: string;
  /** Seconds since 1970. */
  readonly time: number;
  /** Codename of the Debian release, such as `bookworm`. */
  readonly distribution: string;
  readonly parts: readonly Part[];
}

/** Deterministic: no serial number, the time of the sources. */
export function sbom({ version, license, time, distribution, parts }: SbomInput): string {
  const own = `pkg:generic/aquifer@${version}`;
  const components = parts
    .map((part) => component(part, distribution))
    .sort((a, b) => (a['bom-ref'] < b['bom-ref'] ? -1 : a['bom-ref'] > b['bom-ref'] ? 1 : 0));
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    version: 1,
    metadata: {
      timestamp: new Date(time * 1000).toISOString(),
      component: {
        type: 'container',
        'bom-ref': own,
        name: 'aquifer',
        version,
        purl: own,
        licenses: [{ license: { id: license } }],
      },
    },
    components,
    dependencies: [
      { ref: own, dependsOn: components.map((c) => c['bom-ref']) },
      ...components.map((c) => ({ ref: c['bom-ref'] })),
    ],
  };
  return `${JSON.stringify(document, undefined, 2)}\n`;
}

function component(part: Part, distribution: string) {
  const purl = purlOf(part, distribution);
  return {
    type: 'library',
    'bom-ref': purl,
    name: part.name,
    version: part.version,
    purl,
    licenses: licensesOf(part),
    ...(part.sha256 !== undefined && { hashes: [{ alg: 'SHA-256', content: part.sha256 }] }),
  };
}

/** Package URL: names are percent-encoded, `/` of an npm scope is not. */
function purlOf({ kind, name, version, architecture }: Part, distribution: string): string {
  const encoded = name.split('/').map(encodeURIComponent).join('/');
  const at = encodeURIComponent(version).replaceAll('%3A', ':');
  if (kind === 'npm') return `pkg:npm/${encoded}@${at}`;
  return `pkg:deb/debian/${encoded}@${at}?arch=${architecture}&distro=${distribution}`;
}

/** Debian's names are not SPDX's. */
function licensesOf({ kind, name, licenses }: Part) {
  if (kind === 'npm') return [{ expression: licenses.join(' AND ') }];
  const names = licenses.length > 0 ? licenses : [`as /usr/share/doc/${name}/copyright says`];
  return names.map((license) => ({ license: { name: license } }));
}

/** Names of licenses in a copyright file of Debian's machine-readable form (DEP 5), each once; none in any other. */
export function licensesIn(copyright: string): readonly string[] {
  if (!/^Format: .*copyright-format/m.test(copyright)) return [];
  return [...new Set([...copyright.matchAll(/^License: *(\S.*)$/gm)].map((m) => m[1]!.trim()))].sort();
}
