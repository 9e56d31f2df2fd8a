/** What a certificate says of whom it is for (RFC 5280 4.1, 4.2.1.6). Node's text form of the names is a list whose separators a name could contain. */

import { MeshError } from '../core/errors.ts';
import { ipFromBytes } from '../core/net.ts';
import { parseSpiffe } from '../identity/spiffe.ts';
import type { Identity } from '../mesh/types.ts';
import { DerReader, type Element, tag, timeOf } from './der.ts';

export interface Leaf {
  /** The URI names that are SPIFFE ids, in order. */
  readonly identities: readonly Identity[];
  /** All its names, each behind its type: `url:spiffe://...`, `dns:...`, `ip:...`, `email:...`; of other types the tag and the DER in hexadecimal. */
  readonly names: readonly string[];
  /** Ms since the epoch. */
  readonly notAfter: number;
}

/** `[1] IMPLICIT` and `[2] IMPLICIT` of TBSCertificate: ids of issuer and subject. */
const uniqueIds = [0x81, 0x82];
/** 2.5.29.17. */
const subjectAltName = '551d11';

/** Throws MeshError PROTOCOL: malformed, or with its names in two places. */
export function readLeaf(der: Uint8Array): Leaf {
  const outer = new DerReader(Buffer.from(der.buffer, der.byteOffset, der.byteLength));
  const fields = outer.enter(tag.sequence).enter(tag.sequence);
  if (!outer.done) throw new MeshError('PROTOCOL', 'something follows the certificate');
  if (fields.next === tag.explicit0) fields.take(tag.explicit0);
  fields.take(tag.integer);
  fields.take(tag.sequence);
  fields.take(tag.sequence);
  const validity = fields.enter(tag.sequence);
  timeOf(validity);
  const notAfter = timeOf(validity);
  fields.take(tag.sequence);
  fields.take(tag.sequence);
  for (const id of uniqueIds) if (fields.next === id) fields.take(id);
  const names = fields.next === tag.explicit3 ? namesIn(fields.enter(tag.explicit3).enter(tag.sequence)) : [];
  if (!fields.done) throw new MeshError('PROTOCOL', 'its fields are not those of a certificate');
  const identities = names
    .filter((name) => name.startsWith('url:'))
    .map((name) => parseSpiffe(name.slice('url:'.length)))
    .filter((id) => id !== undefined);
  return { identities, names, notAfter };
}

function namesIn(extensions: DerReader): readonly string[] {
  let names: readonly string[] | undefined;
  while (!extensions.done) {
    const extension = extensions.enter(tag.sequence);
    if (extension.take(tag.objectId).content.toString('hex') !== subjectAltName) continue;
    if (names !== undefined) throw new MeshError('PROTOCOL', 'it has the extension subjectAltName twice');
    if (extension.next === tag.boolean) extension.take(tag.boolean);
    names = generalNames(extension.enter(tag.octetString).enter(tag.sequence));
  }
  return names ?? [];
}

function generalNames(list: DerReader): readonly string[] {
  const names: string[] = [];
  while (!list.done) names.push(nameOf(list.take(list.next ?? 0)));
  return names;
}

/** GeneralName: the tag is the type. */
function nameOf({ tag: type, content }: Element): string {
  switch (type) {
    case 0x81:
      return `email:${content.toString('latin1')}`;
    case 0x82:
      return `dns:${content.toString('latin1')}`;
    case 0x86:
      return `url:${content.toString('latin1')}`;
    case 0x87: {
      const ip = ipFromBytes(content);
      if (ip === undefined) throw new MeshError('PROTOCOL', `an IP address of ${content.length} bytes`);
      return `ip:${ip}`;
    }
    default:
      return `${type.toString(16)}:${content.toString('hex')}`;
  }
}
