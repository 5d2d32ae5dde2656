import { fileDescriptorSet } from '#/proto/descriptors.ts';
import { ServerReflectionDefinition } from '#/proto/reflection.ts';
import type { ServerReflectionRequest, ServerReflectionResponse } from '#/proto/reflection.ts';
import { serve } from './method.ts';
import type { Service } from './method.ts';
import { Status } from './status.ts';

/**
 * Server reflection, versions v1 and v1alpha, over `services` and itself; for tools that ask a
 * server for its methods and messages. The descriptors are unpacked when somebody first asks.
 */
export function reflectionServices(services: readonly Service[]): Service[] {
  const definitions = ['grpc.reflection.v1', 'grpc.reflection.v1alpha'].map((name) => ({
    ...ServerReflectionDefinition,
    fullName: `${name}.ServerReflection`,
  }));
  const names = [...services, ...definitions].map((service) => service.fullName).sort();
  return definitions.map((definition) =>
    serve(definition, {
      async *serverReflectionInfo(requests) {
        const files = await loadFiles();
        for await (const request of requests) {
          yield {
            validHost: request.host,
            originalRequest: request,
            messageResponse: answer(request, names, files),
          };
        }
      },
    }),
  );
}

type Answer = ServerReflectionResponse['messageResponse'];

/** Encoded file descriptors, each with those that it imports, in an order for loading. */
interface Files {
  byName(name: string): Uint8Array[] | undefined;
  bySymbol(symbol: string): Uint8Array[] | undefined;
}

function answer(
  { messageRequest }: ServerReflectionRequest,
  services: readonly string[],
  files: Files,
): Answer {
  switch (messageRequest?.$case) {
    case 'listServices':
      return {
        $case: 'listServicesResponse',
        value: { service: services.map((name) => ({ name })) },
      };
    case 'fileByFilename':
      return filesOrError(files.byName(messageRequest.value), messageRequest.value);
    case 'fileContainingSymbol':
      return filesOrError(files.bySymbol(messageRequest.value), messageRequest.value);
    case 'allExtensionNumbersOfType':
      return {
        $case: 'allExtensionNumbersResponse',
        value: { baseTypeName: messageRequest.value, extensionNumber: [] },
      };
    case 'fileContainingExtension':
      return notFound(messageRequest.value.containingType);
    case undefined:
      return error(Status.InvalidArgument, 'found an empty reflection request');
  }
}

function filesOrError(found: Uint8Array[] | undefined, what: string): Answer {
  if (found === undefined) return notFound(what);
  return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto: found } };
}

function notFound(what: string): Answer {
  return error(Status.NotFound, `no descriptor for "${what}"`);
}

function error(errorCode: number, errorMessage: string): Answer {
  return { $case: 'errorResponse', value: { errorCode, errorMessage } };
}

async function loadFiles(): Promise<Files> {
  const { createFileRegistry, fromBinary, toBinary } = await import('@bufbuild/protobuf');
  const wkt = await import('@bufbuild/protobuf/wkt');
  const bytes = Buffer.from(fileDescriptorSet, 'base64');
  const registry = createFileRegistry(fromBinary(wkt.FileDescriptorSetSchema, bytes));
  type File = NonNullable<ReturnType<typeof registry.getFile>>;

  const withImports = (file: File): Uint8Array[] => {
    const all = new Set<File>();
    const add = (one: File): void => {
      if (all.has(one)) return;
      for (const imported of one.dependencies) add(imported);
      all.add(one);
    };
    add(file);
    return Array.from(all, (one) => toBinary(wkt.FileDescriptorProtoSchema, one.proto)).reverse();
  };
  return {
    byName(name) {
      const file = registry.getFile(name) ?? registry.getFile(name.replace(/\.proto$/, ''));
      return file && withImports(file);
    },
    bySymbol(symbol) {
      const container = symbol.slice(0, Math.max(0, symbol.lastIndexOf('.')));
      const found = registry.get(symbol) ?? registry.get(container);
      return found && withImports(found.file);
    },
  };
}
