import { defineConfig } from 'prisma/config';
import { PrismaPg } from '@prisma/adapter-pg';
import Result from 'pg/lib/result.js';

// the schema engine asks for columns of the types "char" and name, which adapter-pg 6 does not know: texts
const { addFields } = Result.prototype;
Result.prototype.addFields = function (fields) {
  for (const f of fields) if (f.dataTypeID === 18 || f.dataTypeID === 19) f.dataTypeID = 25;
  return addFields.call(this, fields);
};

export default defineConfig({
  schema: process.env.PRISMA_SCHEMA || 'prisma/schema.prisma', experimental: { adapter: true }, engine: 'js',
  migrations: { path: 'prisma/migrations' },
  adapter: async () => new PrismaPg({ connectionString: process.env.DATABASE_URL }),
});
