/** Waiting while nobody looks. */

/** Resolves as soon as the tab of the page is in front. */
export const visible = () =>
  document.hidden
    ? new Promise((resume) =>
        document.addEventListener("visibilitychange", resume, { once: true }),
      )
    : Promise.resolve();
