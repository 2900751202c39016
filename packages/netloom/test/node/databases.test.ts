/**
 * Clients of other people, `pg` and `ioredis`, reach Postgres and Redis through two stacks: a stack's port leads to the server, and the
 * client is on the other stack.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { after, test } from 'node:test';
import { AbstractConnector, Redis } from 'ioredis';
import pg from 'pg';
import { createNet } from '../../src/node/index.ts';
import { forward, startPostgres, startRedis } from './servers.ts';
import { createStacks, FAR } from './stacks.ts';

const stacks = await createStacks();
const [postgres, redis] = await Promise.all([startPostgres(), startRedis()]);
const forwards = await Promise.all([forward(stacks.far.tcp, 5432, postgres.target), forward(stacks.far.tcp, 6379, redis.target)]);
const net = createNet(stacks.near.tcp);
const settings = { host: FAR, user: 'netloom', password: 'secret', database: 'postgres', stream: () => new net.Socket() as never };

after(async () => {
  for (const server of forwards) server.close();
  await Promise.all([postgres.stop(), redis.stop()]);
  await stacks.close();
});

async function connected(more: pg.ClientConfig = {}): Promise<pg.Client> {
  const client = new pg.Client({ ...settings, ...more });
  await client.connect();
  return client;
}

test('pg: tables, types and transactions', async () => {
  const client = await connected();
  await client.query('create table boat (id serial primary key, name text not null, photo bytea)');
  const photo = randomBytes(2 << 20);
  await client.query('insert into boat (name, photo) values ($1, $2), ($3, null)', ['Albatross', photo, 'Petrel']);
  const { rows } = await client.query('select name, photo from boat order by id');
  deepEqual([rows.length, rows[0].name, rows[1]], [2, 'Albatross', { name: 'Petrel', photo: null }]);
  ok(photo.equals(rows[0].photo));
  await client.query('begin');
  await client.query('delete from boat');
  await client.query('rollback');
  equal((await client.query('select count(*)::int as count from boat')).rows[0].count, 2);
  await rejects(client.query('select * from absent'), { code: '42P01' });
  await client.end();
});

test('pg: a result of 32 MiB', async () => {
  const client = await connected();
  const { rows } = await client.query('select number, repeat(chr(97 + number % 26), 32768) as text from generate_series(1, 1024) as number');
  equal(rows.length, 1024);
  ok(rows.every(({ number, text }) => text === String.fromCharCode(97 + (number % 26)).repeat(32_768)));
  await client.end();
});

test('pg: TLS', async () => {
  const client = await connected({ ssl: { ca: postgres.cert } });
  equal((await client.query('select ssl from pg_stat_ssl where pid = pg_backend_pid()')).rows[0].ssl, true);
  await client.end();
  await rejects(connected({ ssl: { ca: [] } }), { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' });
});

test('pg: a pool of twenty', async () => {
  const pool = new pg.Pool({ ...settings, max: 20 });
  const answers = await Promise.all(Array.from({ length: 200 }, (_, number) => pool.query('select $1::int * 2 as double, pg_sleep(0.01)', [number])));
  deepEqual(
    answers.map(({ rows }) => rows[0].double),
    Array.from({ length: 200 }, (_, number) => number * 2),
  );
  equal(pool.totalCount, 20);
  await pool.end();
});

test('pg: notifications', async () => {
  const [listener, teller] = await Promise.all([connected(), connected()]);
  await listener.query('listen news');
  const heard = once(listener, 'notification');
  await teller.query("notify news, 'landfall'");
  equal((await heard)[0].payload, 'landfall');
  await Promise.all([listener.end(), teller.end()]);
});

test('pg: a backend that is ended tells its client', async () => {
  const [victim, other] = await Promise.all([connected(), connected()]);
  const { rows } = await victim.query('select pg_backend_pid() as pid');
  const errors: (Error & { code?: string })[] = [];
  victim.on('error', (error) => errors.push(error));
  const ended = new Promise<void>((done) => victim.once('end', done));
  await other.query('select pg_terminate_backend($1)', [rows[0].pid]);
  await ended;
  equal(errors[0]?.code, '57P01');
  await rejects(victim.query('select 1'));
  await other.end();
});

test('pg: refused, and a wrong password', async () => {
  await rejects(connected({ port: 5433 }), { code: 'ECONNREFUSED', message: `connect ECONNREFUSED ${FAR}:5433` });
  await rejects(connected({ password: 'wrong' }), { code: '28P01' });
});

class Connector extends AbstractConnector {
  constructor() {
    super(1000);
  }

  async connect() {
    this.connecting = true;
    this.stream = net.connect(6379, FAR) as never;
    return this.stream as never;
  }
}

test('ioredis: values, pipelines and subscriptions', async () => {
  const options = { Connector: Connector as never };
  const [client, subscriber] = [new Redis(options), new Redis(options)];
  const value = randomBytes(4 << 20);
  equal(await client.set('photo', value), 'OK');
  ok(value.equals((await client.getBuffer('photo'))!));
  const pipeline = client.pipeline();
  for (let number = 0; number < 5000; number += 1) pipeline.incr('counter');
  deepEqual((await pipeline.exec())!.at(-1), [null, 5000]);
  await subscriber.subscribe('news');
  const heard = once(subscriber, 'message');
  await client.publish('news', 'landfall');
  deepEqual(await heard, ['news', 'landfall']);
  await Promise.all([client.quit(), subscriber.quit()]);
});

test('ioredis: connects again when its connection was ended', async () => {
  const client = new Redis({ Connector: Connector as never, retryStrategy: () => 1 });
  const first = await client.client('ID');
  const again = once(client, 'reconnecting');
  const other = new Redis({ Connector: Connector as never });
  await other.client('KILL', 'ID', String(first));
  await again;
  ok(Number(await client.client('ID')) > Number(first));
  await Promise.all([client.quit(), other.quit()]);
});
