import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatMistake, operators } from '../../common/envoy/operators.ts';
import { Headers } from '../request/headers.ts';
import { operatorExamples } from '../testing/operator-examples.ts';
import { view } from '../testing/view.ts';
import { compileFormat, type FormatContext } from './format.ts';
import { knownOperators } from './operators.ts';

const bare: FormatContext = { request: view({ path: '/a?a=b%20c' }), facts: { startTime: 1_700_000_000_123 } };

function rendered(format: string, context = bare): string {
  return compileFormat(format).render(context, '-');
}

describe("each of Envoy's operators", () => {
  for (const [name, { without, isNumber }] of Object.entries(operators)) {
    it(`${name} is read here, or the list says why there is no value`, () => {
      assert.equal(knownOperators.has(name), without === undefined);
      assert.equal(formatMistake(operatorExamples[name]!), undefined);
      const format = compileFormat(operatorExamples[name]!);
      assert.ok(format.alone, 'it stands alone');
      const json = format.alone!(bare);
      if (isNumber) assert.ok(json === undefined || typeof json === 'number', String(json));
    });
  }

  it('is in the list', () => {
    for (const name of knownOperators) assert.ok(Object.hasOwn(operators, name), name);
  });

  const refused = [
    '%NO_SUCH%',
    '%REQ%',
    '%PROTOCOL(x)%',
    '100%',
    '%PATH(XX)%',
    '%COMMON_DURATION(DS_RX_BEG:DS_TX_END:h)%',
    '%COALESCE({"operators": ["NO_SUCH"]})%',
    '%COALESCE(x)%',
    '%METADATA(NOWHERE:a)%',
    '%QUERY_PARAMS(x)%',
    '%REQUESTED_SERVER_NAME(SNI_FIRST:x)%',
    '%UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT(999)%',
    '%RESPONSE_CODE_DETAILS(x)%',
  ];
  for (const text of refused) {
    it(`is refused by name: ${text}`, () => assert.throws(() => compileFormat(text)));
  }
  it('is refused by istiod where Envoy would take no such listener', () => {
    for (const text of refused.slice(0, 4)) assert.notEqual(formatMistake(text), undefined, text);
    assert.equal(formatMistake('100%% %REQ(a?b):3% %START_TIME(%Y-%m)%'), undefined);
  });
});

describe('operators', () => {
  it('have the forms that arguments ask for', () => {
    assert.equal(
      rendered('%PATH(NQ)% %PATH(WQ:PATH)% %QUERY_PARAMS% %QUERY_PARAMS(DECODED)%'),
      '/a /a?a=b%20c a=b%20c a=b c',
    );
    const ip = view({ connection: { remote: { address: '10.1.10.23', port: 1 }, sni: 'sni' } });
    const context = { ...bare, request: ip };
    assert.equal(rendered('%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(16)%', context), '10.1.0.0/16');
    assert.equal(rendered('%REQUESTED_SERVER_NAME% %REQUESTED_SERVER_NAME(HOST_FIRST)%', context), 'sni a.example');
    const v6 = view({ connection: { remote: { address: '2001:db8:1234:5678:9abc::1', port: 1 } } });
    assert.equal(
      rendered('%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT(64)%', { ...bare, request: v6 }),
      '2001:db8:1234:5678::/64',
    );
    assert.equal(rendered(operatorExamples['COALESCE']!), 'a.e');
    const details = { ...bare, facts: { ...bare.facts, responseCodeDetails: 'a b' } };
    assert.equal(rendered('%RESPONSE_CODE_DETAILS% %RESPONSE_CODE_DETAILS(ALLOW_WHITESPACES)%', details), 'a_b a b');
  });

  it('measure what lies between two points', () => {
    const times = { requestEnd: 1.5, upstreamResponseStart: 3, responseEnd: 4.25 };
    const context = { ...bare, facts: { ...bare.facts, times } };
    assert.equal(rendered('%REQUEST_DURATION% %RESPONSE_DURATION% %RESPONSE_TX_DURATION%', context), '1 3 1');
    assert.equal(rendered('%COMMON_DURATION(DS_RX_END:US_RX_BEG:us)%', context), '1500');
    assert.equal(rendered('%COMMON_DURATION(DS_RX_BEG:US_TX_END:ms)% %COMMON_DURATION(x:y:ns)%', context), '- -');
  });

  it('keep their types in JSON where they stand alone', () => {
    const response = { status: 200, headers: Headers.of([]) };
    const clusterMetadata = { n: { k: { deep: [1, true] } } };
    const context = { ...bare, response, facts: { ...bare.facts, clusterMetadata } };
    const alone = (text: string) => compileFormat(text).alone!(context);
    assert.deepEqual(alone('%CLUSTER_METADATA(n:k)%'), { deep: [1, true] });
    assert.equal(alone('%RESPONSE_CODE%'), 200);
    assert.equal(alone('%REQ(x)%'), undefined);
    assert.equal(compileFormat('%RESPONSE_CODE% ').alone, undefined);
  });
});
