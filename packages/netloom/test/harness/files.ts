/** Runs files of tests, one after the other. */
import { drain, takeOver, type Results } from '../harness.ts';

type File = [name: string, load: () => Promise<unknown>];

/** `only` leaves the files whose path holds it or, where there is none, the tests whose name does. */
export async function runFiles(files: File[], only: string, print: (line: string) => void): Promise<Results> {
  takeOver();
  const chosen = files.filter(([name]) => name.includes(only));
  for (const [name, load] of chosen.length > 0 ? chosen : files) {
    print(`# ${name}`);
    await load();
    await drain({ only: chosen.length > 0 ? '' : only, print });
  }
  return drain({ print });
}
