import { CorruptionError } from '#/lib/errors.ts';

/**
 * The fields of a JSON object, checked as they are read. A missing field and `null` give the zero
 * value, as Go's decoder does; a wrong type is a `CorruptionError` that names the file and the key.
 */
export class JsonFields {
  readonly #fields: ReadonlyMap<string, unknown>;
  readonly #where: string;
  readonly #path: string;

  private constructor(fields: ReadonlyMap<string, unknown>, where: string, path: string) {
    this.#fields = fields;
    this.#where = where;
    this.#path = path;
  }

  static of(value: unknown, where: string, path = ''): JsonFields {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      const key = path === '' ? '' : ` "${path}"`;
      throw new CorruptionError(`${where}:${key} is ${describe(value)}, expected an object`);
    }
    return new JsonFields(new Map(Object.entries(value)), where, path);
  }

  names(): string[] {
    return [...this.#fields.keys()];
  }

  has(key: string): boolean {
    return this.any(key) !== undefined;
  }

  any(key: string): unknown {
    return this.#fields.get(key) ?? undefined;
  }

  integer(key: string): number {
    const value = this.any(key) ?? 0;
    // Go's 64-bit extremes parse to the nearest double; they are whole all the same.
    if (typeof value !== 'number' || !Number.isInteger(value)) {
      throw this.unexpected(key, 'a whole number');
    }
    return value;
  }

  text(key: string): string {
    const value = this.any(key) ?? '';
    if (typeof value !== 'string') throw this.unexpected(key, 'a string');
    return value;
  }

  flag(key: string): boolean {
    const value = this.any(key) ?? false;
    if (typeof value !== 'boolean') throw this.unexpected(key, 'true or false');
    return value;
  }

  object(key: string): JsonFields {
    return JsonFields.of(this.any(key) ?? {}, this.#where, this.#pathOf(key));
  }

  list(key: string): readonly unknown[] {
    const value = this.any(key) ?? [];
    if (!Array.isArray(value)) throw this.unexpected(key, 'a list');
    return value;
  }

  texts(key: string): readonly string[] {
    return this.list(key).map((value) => {
      if (typeof value !== 'string') throw this.unexpected(key, 'a list of strings');
      return value;
    });
  }

  objects(key: string): readonly JsonFields[] {
    return this.list(key).map((value, i) =>
      JsonFields.of(value, this.#where, `${this.#pathOf(key)}[${i}]`),
    );
  }

  unexpected(key: string, want: string): CorruptionError {
    const got = describe(this.any(key));
    return new CorruptionError(
      `${this.#where}: "${this.#pathOf(key)}" is ${got}, expected ${want}`,
    );
  }

  #pathOf(key: string): string {
    return this.#path === '' ? key : `${this.#path}.${key}`;
  }
}

function describe(value: unknown): string {
  if (value === undefined) return 'missing';
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
