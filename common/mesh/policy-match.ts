/** The match of a policy that asks for nothing; whether it holds is the affair of the policy (common/authz/l4.ts). */
import type { PolicyMatch } from './types.ts';

export const emptyMatch: PolicyMatch = {
  namespaces: [],
  notNamespaces: [],
  principals: [],
  notPrincipals: [],
  sourceIps: [],
  notSourceIps: [],
  destinationIps: [],
  notDestinationIps: [],
  destinationPorts: [],
  notDestinationPorts: [],
  serviceAccounts: [],
  notServiceAccounts: [],
};

const fields = Object.keys(emptyMatch) as readonly (keyof PolicyMatch)[];

export function isEmptyMatch(match: PolicyMatch): boolean {
  return fields.every((field) => match[field].length === 0);
}
