// Fastify + postgres.js as their documentation writes it: a response schema per route, the token verified per request.
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import postgres from 'postgres'

const { DATABASE_URL, DATABASE_POOL_SIZE, BETTER_AUTH_SECRET, PORT } = process.env

const database = new URL(DATABASE_URL.replace('@/', '@localhost/'))
const sql = postgres({
  host: database.searchParams.get('host'),
  database: database.pathname.slice(1),
  username: database.username,
  max: Number(DATABASE_POOL_SIZE),
  types: { bigint: { to: 20, from: [20], parse: Number, serialize: String } }
})

const columns = sql([
  'id', 'uid', 'user_id', 'title', 'description', 'priority', 'tags', 'due_date', 'completed', 'created_at', 'updated_at',
  'revision'
])

const nullable = type => ({ ...type, nullable: true })
const text = { type: 'string' }
const moment = { type: 'string', format: 'date-time' }
const task = {
  type: 'object',
  properties: {
    id: { type: 'integer' },
    uid: nullable(text),
    user_id: text,
    title: text,
    description: nullable(text),
    priority: { type: 'integer' },
    tags: { type: 'array', items: text },
    due_date: nullable(moment),
    completed: { type: 'boolean' },
    created_at: moment,
    updated_at: moment,
    revision: { type: 'integer' }
  }
}
const fields = {
  title: { type: 'string', minLength: 1, maxLength: 200 },
  description: { type: 'string', nullable: true, maxLength: 1000 },
  priority: { type: 'integer', minimum: 1, maximum: 3 },
  tags: { type: 'array', items: text },
  due_date: { type: 'string', format: 'date-time', nullable: true }
}
const listing = {
  type: 'object',
  properties: {
    status: { type: 'string', enum: ['all', 'pending', 'completed'], default: 'all' },
    tag: text,
    limit: { type: 'integer', minimum: 1, maximum: 1000, default: 1000 }
  }
}

const app = Fastify()
await app.register(jwt, { secret: BETTER_AUTH_SECRET, verify: { algorithms: ['HS256'] } })

app.addHook('onRequest', async (request, reply) => {
  try {
    await request.jwtVerify()
  } catch {
    return reply.code(401).send({ message: 'Invalid token' })
  }
  if (request.user.sub !== request.params.user_id) return reply.code(403).send({ message: 'Access denied' })
})

const found = (rows, reply) => rows.length ? rows[0] : reply.code(404).send({ message: 'Task not found' })

app.get('/api/:user_id/tasks', { schema: { querystring: listing, response: { 200: { type: 'array', items: task } } } },
  async ({ params, query }) => {
    const status = query.status === 'all' ? sql`` : sql`AND completed = ${query.status === 'completed'}`
    const tag = query.tag ? sql`AND tags @> ${[query.tag]}` : sql``
    return sql`
      SELECT ${columns} FROM tasks WHERE user_id = ${params.user_id} AND deleted_at IS NULL ${status} ${tag}
      ORDER BY created_at DESC, id DESC LIMIT ${query.limit}`
  })

app.post('/api/:user_id/tasks',
  { schema: { body: { type: 'object', required: ['title'], properties: fields }, response: { 201: task } } },
  async ({ params, body }, reply) => {
    const values = { tags: [], ...body, user_id: params.user_id, revision: 0 }
    const [created] = await sql`INSERT INTO tasks ${sql(values)} RETURNING ${columns}`
    return reply.code(201).send(created)
  })

app.get('/api/:user_id/tasks/:id', { schema: { response: { 200: task } } }, async ({ params }, reply) =>
  found(await sql`
    SELECT ${columns} FROM tasks WHERE user_id = ${params.user_id} AND id = ${params.id} AND deleted_at IS NULL`, reply))

app.patch('/api/:user_id/tasks/:id',
  {
    schema: {
      body: { type: 'object', properties: { ...fields, completed: { type: 'boolean' } } },
      response: { 200: task }
    }
  },
  async ({ params, body }, reply) => found(await sql`
    UPDATE tasks SET ${sql({ ...body, updated_at: new Date() })}
    WHERE user_id = ${params.user_id} AND id = ${params.id} AND deleted_at IS NULL RETURNING ${columns}`, reply))

app.patch('/api/:user_id/tasks/:id/complete', { schema: { response: { 200: task } } }, async ({ params }, reply) =>
  found(await sql`
    UPDATE tasks SET completed = NOT completed, updated_at = now()
    WHERE user_id = ${params.user_id} AND id = ${params.id} AND deleted_at IS NULL RETURNING ${columns}`, reply))

app.delete('/api/:user_id/tasks/:id', async ({ params }, reply) => {
  const { count } = await sql`
    UPDATE tasks SET deleted_at = now()
    WHERE user_id = ${params.user_id} AND id = ${params.id} AND deleted_at IS NULL`
  return count ? reply.code(204).send() : reply.code(404).send({ message: 'Task not found' })
})

process.once('SIGTERM', async () => {
  await app.close()
  await sql.end()
})
await app.listen({ host: '127.0.0.1', port: Number(PORT) })
