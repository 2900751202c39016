// What a page does with the package: two stacks, a connection between them, and its bytes back.
import { connectStreams, createStack } from 'netloom';

export async function main(options) {
  const here = await createStack(options);
  const there = await createStack(options);
  connectStreams(await here.interfaces.createTap({ ip: '10.0.0.1/24' }), await there.interfaces.createTap({ ip: '10.0.0.2/24' }));
  const listener = await there.tcp.listen({ port: 80 });
  const connection = await here.tcp.connect({ host: '10.0.0.2', port: 80 });
  const accepted = await listener.accept();
  accepted.readable.pipeTo(accepted.writable);
  const writer = connection.writable.getWriter();
  await writer.write(new TextEncoder().encode('through the stack'));
  await writer.close();
  let text = '';
  for await (const bytes of connection.readable) text += new TextDecoder().decode(bytes);
  await here.close();
  await there.close();
  return text;
}
