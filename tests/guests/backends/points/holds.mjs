/** In the place of an error: v86's own backend does not fail this one, which shows that the test is fair to it. */
export const HOLDS = Symbol("holds");
