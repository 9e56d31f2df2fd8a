/** From a query and the zone to a response. Pure. */
import type { Answer, DecodedPacket, Packet, Question } from 'dns-packet';
import { AUTHORITATIVE_ANSWER, RECURSION_AVAILABLE, RECURSION_DESIRED } from 'dns-packet';
import { clusterDomain } from '../addresses.ts';
import type { DnsRecord, Zone } from './zone.ts';

/** Seconds; as CoreDNS' kubernetes plugin. */
const ttl = 5;
const noError = 0;
const nameError = 3;
const notImplemented = 4;

/** The lab knows no names but the cluster's: all others do not exist. */
export function answer(query: DecodedPacket, zone: Zone): Packet {
  const question = query.questions?.[0];
  if (question === undefined || query.questions?.length !== 1) return response(query, notImplemented, [], []);
  const name = question.name.toLowerCase().replace(/\.$/, '');
  const records = Object.hasOwn(zone, name) ? zone[name]! : undefined;
  if (records === undefined) return response(query, nameError, [], [soa()]);
  const answers = resolve(question, records, zone);
  return response(query, noError, answers, answers.length === 0 ? [soa()] : []);
}

function resolve(question: Question, records: readonly DnsRecord[], zone: Zone): Answer[] {
  const alias = records.find((r) => r.type === 'CNAME');
  if (alias !== undefined && question.type !== 'CNAME') {
    const target = alias.value.toLowerCase().replace(/\.$/, '');
    const own = Object.hasOwn(zone, target) ? zone[target]! : [];
    return [toAnswer(question.name, alias), ...matching({ ...question, name: alias.value }, own)];
  }
  return matching(question, records);
}

function matching(question: Question, records: readonly DnsRecord[]): Answer[] {
  return records.filter((r) => r.type === question.type).map((r) => toAnswer(question.name, r));
}

function toAnswer(name: string, record: DnsRecord): Answer {
  if (record.type === 'SRV') {
    return { name, type: 'SRV', ttl, data: { priority: 0, weight: 100, port: record.port, target: record.target } };
  }
  return { name, type: record.type, ttl, data: record.value };
}

/** Lets resolvers remember for `minimum` seconds that a name does not exist (RFC 2308). */
function soa(): Answer {
  const data = {
    mname: `ns.dns.${clusterDomain}`,
    rname: `hostmaster.${clusterDomain}`,
    serial: 1,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: ttl,
  };
  return { name: clusterDomain, type: 'SOA', ttl, data };
}

function response(query: DecodedPacket, rcode: number, answers: Answer[], authorities: Answer[]): Packet {
  const asked = (query.flags ?? 0) & RECURSION_DESIRED;
  return {
    type: 'response',
    ...(query.id === undefined ? {} : { id: query.id }),
    flags: AUTHORITATIVE_ANSWER | RECURSION_AVAILABLE | asked | rcode,
    questions: query.questions ?? [],
    answers,
    authorities,
  };
}

/** Largest UDP answer that the client takes: its EDNS size, or 512 bytes (RFC 1035 4.2.1, RFC 6891 6.2.3). */
export function udpLimit(query: DecodedPacket): number {
  const edns = query.additionals?.find((a) => a.type === 'OPT');
  return Math.min(Math.max(edns?.type === 'OPT' ? edns.udpPayloadSize : 512, 512), 1232);
}
