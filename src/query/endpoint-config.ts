import * as v from 'valibot';
import { parseYaml } from '#/config/yaml.ts';
import { addressProblem, isDynamicAddress } from '#/discovery/dns.ts';
import { BadInputError } from '#/lib/errors.ts';

/** How to speak TLS to an endpoint. Empty texts mean that nothing is set. */
export interface ClientTls {
  readonly insecureSkipVerify: boolean;
  readonly certFile: string;
  readonly keyFile: string;
  readonly caFile: string;
  /** `1.0` … `1.3`. */
  readonly minVersion: string;
  readonly serverName: string;
}

export interface ClientSettings {
  /** `undefined` for clear text. */
  readonly tls: ClientTls | undefined;
  readonly compression: 'none' | 'snappy';
}

/** One configured endpoint. */
export interface EndpointSpec {
  /** `host:port`, or a name to look up. */
  readonly address: string;
  /** One endpoint that stands for all peers of the address, which share the calls. */
  readonly isGroup: boolean;
  /** Always asked, and missed when it does not answer. */
  readonly isStrict: boolean;
  readonly client: ClientSettings;
}

const tlsKeys = v.strictObject({
  enabled: v.optional(v.boolean()),
  insecure_skip_verify: v.optional(v.boolean()),
  cert_file: v.optional(v.string()),
  key_file: v.optional(v.string()),
  ca_file: v.optional(v.string()),
  min_version: v.optional(v.string()),
});
type TlsKeys = v.InferOutput<typeof tlsKeys>;

const clientKeys = v.strictObject({
  tls_config: v.optional(tlsKeys, {}),
  server_name: v.optional(v.string(), ''),
  compression: v.optional(v.picklist(['none', 'snappy', '']), ''),
});
type ClientKeys = v.InferOutput<typeof clientKeys>;

/** An unknown key is refused, where Thanos ignores it: an endpoint with a typo would go missing. */
const configFile = v.optional(
  v.strictObject({
    default_client_config: v.optional(clientKeys, {}),
    endpoints: v.optional(
      v.array(
        v.strictObject({
          address: v.string(),
          strict: v.optional(v.boolean(), false),
          group: v.optional(v.boolean(), false),
          service_config: v.optional(v.string(), ''),
          client_config: v.optional(clientKeys, {}),
        }),
      ),
      [],
    ),
  }),
  {},
);

/** The endpoints of `--endpoint`, `--endpoint-group` and their strict forms. */
export interface EndpointFlags {
  readonly endpoints: readonly string[];
  readonly groups: readonly string[];
  readonly strict: readonly string[];
  readonly strictGroups: readonly string[];
  /** `--grpc-client-*` and `--grpc-compression`. */
  readonly client: ClientSettings;
}

export interface EndpointConfig {
  readonly specs: readonly EndpointSpec[];
  /** For addresses that discovery finds. */
  readonly defaultClient: ClientSettings;
}

/**
 * Reads `--endpoint.sd-config` and adds the endpoints of the flags.
 * @throws BadInputError if the text is no such configuration, or asks for what cannot be.
 */
export function parseEndpointConfig(
  source: string,
  text: string,
  flags: EndpointFlags,
): EndpointConfig {
  const file = parseYaml(source, text, configFile);
  const defaultKeys = file.default_client_config;
  const defaultTls = setsTls(defaultKeys) ? resolveTls(defaultKeys, undefined) : flags.client.tls;
  const defaultClient = { tls: defaultTls, compression: flags.client.compression };
  const specs = file.endpoints.map((endpoint): EndpointSpec => {
    const { address, strict, group, service_config: serviceConfig } = endpoint;
    if (!group && serviceConfig !== '') {
      throw new BadInputError(
        `${source}: ${address} service_config is only valid for endpoint groups.`,
      );
    }
    const keys = endpoint.client_config;
    const client = setsTls(keys)
      ? { tls: resolveTls(keys, defaultTls), compression: keys.compression || 'none' }
      : defaultClient;
    return { address, isGroup: group, isStrict: strict, client };
  });
  const all = [...specs, ...specsOfFlags(flags, defaultClient)];
  for (const spec of all) {
    checkAddress(source, spec);
    checkStrict(source, spec);
  }
  return { specs: all, defaultClient };
}

function specsOfFlags(flags: EndpointFlags, client: ClientSettings): EndpointSpec[] {
  const specs = (addresses: readonly string[], isGroup: boolean, isStrict: boolean) =>
    addresses.map((address) => ({ address, isGroup, isStrict, client }));
  return [
    ...specs(flags.endpoints, false, false),
    ...specs(flags.groups, true, false),
    ...specs(flags.strict, false, true),
    ...specs(flags.strictGroups, true, true),
  ];
}

function checkAddress(source: string, { address }: EndpointSpec): void {
  const problem = addressProblem(address);
  if (problem !== undefined) throw new BadInputError(`${source}: ${problem}`);
}

function checkStrict(source: string, { address, isStrict }: EndpointSpec): void {
  if (!isStrict || !isDynamicAddress(address)) return;
  throw new BadInputError(
    `${source}: ${address} is a dynamically specified endpoint i.e. it uses SD and that is not permitted under strict mode.`,
  );
}

function setsTls({ tls_config: tls, server_name: serverName }: ClientKeys): boolean {
  return serverName !== '' || Object.values(tls).some((value) => value !== undefined);
}

/** Keys that are not set come from `inherited`, or are plain defaults where TLS is switched on here. */
function resolveTls(keys: ClientKeys, inherited: ClientTls | undefined): ClientTls | undefined {
  const { tls_config: tls, server_name: serverName } = keys;
  const enabled = tls.enabled ?? (asksForTls(tls) || inherited !== undefined);
  if (!enabled) return undefined;
  const base = tls.enabled === true ? undefined : inherited;
  return {
    insecureSkipVerify: tls.insecure_skip_verify ?? base?.insecureSkipVerify ?? false,
    certFile: tls.cert_file ?? base?.certFile ?? '',
    keyFile: tls.key_file ?? base?.keyFile ?? '',
    caFile: tls.ca_file ?? base?.caFile ?? '',
    minVersion: tls.min_version ?? base?.minVersion ?? '1.3',
    serverName,
  };
}

function asksForTls(tls: TlsKeys): boolean {
  return [tls.cert_file, tls.key_file, tls.ca_file, tls.insecure_skip_verify].some(
    (value) => value !== undefined,
  );
}
