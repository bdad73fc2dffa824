"use client";

import { useEffect } from "react";
import { api } from "@/lib/api";
import { authClient } from "@/lib/auth-client";
import { api as sameOrigin } from "@/lib/same-origin";
import * as token from "@/lib/token";

// The tests call what the page's own scripts would.
export default function Page() {
  useEffect(() => void Object.assign(window, { site: { api, authClient, sameOrigin, ...token } }), []);
  return null;
}
