import { auth } from "@/lib/cached-auth";
import { tasksOfSession } from "@/lib/session-token";

export const GET = tasksOfSession;

export const POST = (request: Request) =>
  auth.handler(new Request(`${process.env.BETTER_AUTH_URL}/api/auth/sign-up/email`, request));
