/**
 * Names of a protocol's numbers.
 */

/** Two functions for a table of names and numbers; `what` names them in the errors of what is unknown. */
export function codes<Name extends string>(what: string, table: Readonly<Record<Name, number>>) {
  const names = new Map<number, Name>(Object.entries<number>(table).map(([name, code]) => [code, name as Name]));
  return {
    parse(code: number): Name {
      const name = names.get(code);
      if (name === undefined) throw new Error(`unknown ${what}`);
      return name;
    },
    serialize(name: string): number {
      if (!Object.hasOwn(table, name)) throw new Error(`unknown ${what}`);
      return table[name as Name];
    },
  };
}
