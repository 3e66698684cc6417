/** Work on many things, a few at a time. */

const AT_ONCE = 4;

/** Do it for each; then throw the first error, if there was one. */
export async function forEach(things, work) {
  const waiting = [...things];
  const errors = [];
  const turn = async () => {
    while (waiting.length && !errors.length) {
      try {
        await work(waiting.shift());
      } catch (error) {
        errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, turn));
  if (errors.length) throw errors[0];
}
