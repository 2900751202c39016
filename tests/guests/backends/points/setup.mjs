/** A point on the `fetch` backend: `body` is given the subject, its network and a guest on it. */
export const onFetch = (body, { settings, guest } = {}) => async (make) => {
  const subject = await make({ relay_url: "fetch", ...settings });
  await body({ ...subject, guest: subject.guest(guest) });
};
